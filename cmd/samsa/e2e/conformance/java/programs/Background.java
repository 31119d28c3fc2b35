// SPDX-License-Identifier: Apache-2.0

import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** A producer that sends numbers to partition 0 until it is told to finish; it says which were acknowledged, and where. */
final class Background extends Thread {
    private final String topic;
    private final KafkaProducer<byte[], byte[]> producer;
    private final List<String> acked = Collections.synchronizedList(new ArrayList<>());
    private volatile Exception failed;
    private volatile boolean finishing;

    Background(String topic, Map<String, String> options) {
        this.topic = topic;
        Properties p = Driver.properties(options);
        for (String key : new String[] {"key.serializer", "value.serializer"}) p.put(key, ByteArraySerializer.class.getName());
        p.put("acks", "all");
        p.putIfAbsent("retries", "1000");
        p.put("retry.backoff.ms", "50");
        p.put("reconnect.backoff.ms", "50");
        producer = new KafkaProducer<>(p);
        setDaemon(true);
        start();
    }

    @Override public void run() {
        for (int i = 0; !finishing && failed == null; i++) {
            int n = i;
            producer.send(new ProducerRecord<>(topic, 0, null, Driver.bytes("" + n)), (m, e) -> {
                if (e != null) failed = e;
                else acked.add(n + " " + m.offset());
            });
            java.util.concurrent.locks.LockSupport.parkNanos(500_000);
        }
        producer.close();
    }

    int count() {
        return acked.size();
    }

    List<String> finish() throws Exception {
        finishing = true;
        join(90_000);
        if (isAlive()) throw new TimeoutException("a producer did not finish within 90 s");
        if (failed != null) throw failed;
        return acked;
    }
}
