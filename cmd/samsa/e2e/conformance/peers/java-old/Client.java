// SPDX-License-Identifier: Apache-2.0

import java.lang.reflect.Constructor;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.Properties;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * Produces and consumes with whatever Kafka client is on the class path, from 0.9 to 4.x, using timestamps and headers where that
 * client knows them.
 *
 *   produce ADDRESS TOPIC RECORDS CODEC...   writes RECORDS records with each codec to partition 0
 *   consume ADDRESS TOPIC...                 reads partition 0 of each topic to its end and prints a line for each record
 */
public class Client {
    static final long START = 1600000000000L;

    public static void main(String[] args) throws Exception {
        if (args[0].equals("produce")) {
            for (int i = 4; i < args.length; i++)
                produce(args[1], args[2], Integer.parseInt(args[3]), args[i]);
        } else {
            for (int i = 2; i < args.length; i++)
                consume(args[1], args[i]);
        }
    }

    static void produce(String address, String topic, int records, String codec) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", address);
        p.put("acks", "all");
        p.put("linger.ms", "50");
        p.put("compression.type", codec);
        p.put("key.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer");
        p.put("value.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer");
        KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p);
        java.util.concurrent.Future<?> last = null;
        for (int i = 0; i < records; i++) {
            StringBuilder value = new StringBuilder(codec + " " + i + " ");
            for (int k = 0; k < i; k++)
                value.append("again and ");
            byte[] key = i % 5 == 1 ? null : ("key " + i).getBytes(StandardCharsets.UTF_8);
            byte[] body = i % 7 == 3 ? null : value.toString().getBytes(StandardCharsets.UTF_8);
            last = producer.send(record(topic, START + i, key, body, i));
        }
        last.get();
        producer.close();
    }

    static ProducerRecord<byte[], byte[]> record(String topic, long time, byte[] key, byte[] value, int i) throws Exception {
        ProducerRecord<byte[], byte[]> r = new ProducerRecord<>(topic, 0, key, value);
        for (Constructor<?> c : ProducerRecord.class.getConstructors()) {
            Class<?>[] types = c.getParameterTypes();
            if (types.length == 5 && types[2] == Long.class && types[4] == Object.class)
                r = cast(c.newInstance(topic, 0, time, key, value));
        }
        for (Method m : ProducerRecord.class.getMethods())
            if (m.getName().equals("headers") && i % 2 == 0) {
                Object headers = m.invoke(r);
                Method add = m.getReturnType().getMethod("add", String.class, byte[].class);
                add.invoke(headers, "header " + i, ("value " + i).getBytes(StandardCharsets.UTF_8));
                add.invoke(headers, "empty", null);
            }
        return r;
    }

    @SuppressWarnings("unchecked")
    static ProducerRecord<byte[], byte[]> cast(Object o) {
        return (ProducerRecord<byte[], byte[]>) o;
    }

    static void consume(String address, String topic) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", address);
        p.put("group.id", "old");
        p.put("enable.auto.commit", "false");
        p.put("key.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer");
        p.put("value.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer");
        KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(p);
        TopicPartition partition = new TopicPartition(topic, 0);
        consumer.assign(Collections.singletonList(partition));
        consumer.seek(partition, 0);
        for (int empty = 0; empty < 8;) {
            ConsumerRecords<byte[], byte[]> records = poll(consumer);
            empty = records.isEmpty() ? empty + 1 : 0;
            for (ConsumerRecord<byte[], byte[]> r : records)
                System.out.println(topic + " " + r.offset() + " at " + timestamp(r) + " " + text(r.key()) + " = " + text(r.value()) + headers(r));
        }
        consumer.close();
    }

    @SuppressWarnings("unchecked")
    static ConsumerRecords<byte[], byte[]> poll(KafkaConsumer<byte[], byte[]> consumer) throws Exception {
        try {
            return (ConsumerRecords<byte[], byte[]>) KafkaConsumer.class.getMethod("poll", java.time.Duration.class)
                .invoke(consumer, java.time.Duration.ofMillis(250));
        } catch (NoSuchMethodException e) {
            return (ConsumerRecords<byte[], byte[]>) KafkaConsumer.class.getMethod("poll", long.class).invoke(consumer, 250L);
        }
    }

    static String timestamp(ConsumerRecord<byte[], byte[]> r) throws Exception {
        try {
            return ConsumerRecord.class.getMethod("timestamp").invoke(r) + " " + ConsumerRecord.class.getMethod("timestampType").invoke(r);
        } catch (NoSuchMethodException e) {
            return "no time";
        }
    }

    static String headers(ConsumerRecord<byte[], byte[]> r) throws Exception {
        StringBuilder out = new StringBuilder();
        try {
            for (Object h : (Iterable<?>) ConsumerRecord.class.getMethod("headers").invoke(r)) {
                Class<?> type = Class.forName("org.apache.kafka.common.header.Header");
                out.append(" [").append(type.getMethod("key").invoke(h)).append(": ").append(text((byte[]) type.getMethod("value").invoke(h))).append("]");
            }
        } catch (NoSuchMethodException e) {
            return "";
        }
        return out.toString();
    }

    static String text(byte[] b) {
        return b == null ? "null" : new String(b, StandardCharsets.UTF_8);
    }
}
