// SPDX-License-Identifier: Apache-2.0

import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.*;
import org.apache.kafka.streams.kstream.*;

/** The word count of Kafka Streams' tutorial, with its store and its repartition topic; it ends when its standard input does. */
public final class WordCount {
    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put("application.id", "words");
        p.put("bootstrap.servers", args[0]);
        p.put("state.dir", args[1]);
        p.put("commit.interval.ms", "200");
        p.put("repartition.purge.interval.ms", "500");
        p.put("num.stream.threads", "2");
        p.put("consumer.auto.offset.reset", "earliest");
        p.put("consumer.session.timeout.ms", "6000"); // a stopped Streams does not leave its group
        p.put("default.key.serde", Serdes.String().getClass().getName());
        p.put("default.value.serde", Serdes.String().getClass().getName());
        StreamsBuilder b = new StreamsBuilder();
        b.<String, String>stream("lines").flatMapValues(line -> Arrays.asList(line.split(" "))).groupBy((key, word) -> word)
                .count(Materialized.as("counts")).toStream().mapValues(String::valueOf).to("counts");
        try (KafkaStreams streams = new KafkaStreams(b.build(), p)) {
            streams.setUncaughtExceptionHandler(e -> {
                e.printStackTrace();
                return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            streams.start();
            while (System.in.read() >= 0) continue;
        }
    }
}
