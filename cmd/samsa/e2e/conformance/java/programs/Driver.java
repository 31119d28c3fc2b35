// SPDX-License-Identifier: Apache-2.0

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.*;

/**
 * Obeys commands, one a line with tabs between the words, and answers each with lines that begin with a space and a last one:
 * "." or "!" and the error. One source for every client from 0.11 to 4.x; what came later is in Since11 and Since20.
 */
public final class Driver {
    static String bootstrap;
    static AdminClient admin;
    static int patience = 30; // seconds that a command may wait
    static Background background;
    static final Map<String, Member> members = new HashMap<>();

    interface Later {
        List<String> obey(String[] words) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        PrintStream answers = new PrintStream(System.out, false, "UTF-8");
        System.setOut(System.err);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; answers.flush()) {
            try {
                for (String said : obey(line.split("\t", -1))) answers.println(" " + said);
                answers.println(".");
            } catch (Throwable t) {
                t.printStackTrace();
                while (t instanceof ExecutionException && t.getCause() != null) t = t.getCause();
                answers.println("!" + String.valueOf(t).replace('\n', ' '));
            }
        }
        System.exit(0);
    }

    static List<String> obey(String[] w) throws Exception {
        switch (w[0]) {
            case "broker": return broker(w[1]);
            case "create": return create(w[1], Integer.parseInt(w[2]), options(w, 3));
            case "describe": return describe(w[1]);
            case "cluster": return cluster();
            case "config": return config(w[1], w[2]);
            case "topics": return new ArrayList<>(new TreeSet<>(get(admin().listTopics().names())));
            case "delete": get(admin().deleteTopics(Collections.singleton(w[1])).all()); return Collections.emptyList();
            case "produce": return produce(w[1], Integer.parseInt(w[2]), Long.parseLong(w[3]), options(w, 4));
            case "offsets": return offsets(w[1]);
            case "times": return times(w[1], Long.parseLong(w[2]));
            case "read": return read(w[1], Integer.parseInt(w[2]), Long.parseLong(w[3]), Integer.parseInt(w[4]), options(w, 5));
            case "open": members.put(w[1], new Member(w[2], w[3], options(w, 4))); return Collections.emptyList();
            case "close": members.remove(w[1]).close(); return Collections.emptyList();
            case "take": return members.get(w[1]).take(Integer.parseInt(w[2]));
            case "limit": return members.get(w[1]).limit(Integer.parseInt(w[2]));
            case "assignment": return members.get(w[1]).assignment();
            case "events": return members.get(w[1]).events();
            case "seek-end": return members.get(w[1]).seekEnd();
            case "wait": return members.get(w[1]).await();
            case "commit": return members.get(w[1]).commit();
            case "seek": return members.get(w[1]).seek(w[2], Integer.parseInt(w[3]), Long.parseLong(w[4]));
            case "big": return big(w[1], Integer.parseInt(w[2]), options(w, 3));
            case "start": background = new Background(w[1], options(w, 2)); return Collections.emptyList();
            case "patience": patience = Integer.parseInt(w[1]); return Collections.emptyList();
            case "acked": return Collections.singletonList("" + background.count());
            case "finish": return background.finish();
            case "grow": case "trim": return later("Since11", w);
            case "groups": case "group": case "committed": case "forget": return later("Since20", w);
            default: return later("Since28", w);
        }
    }

    static List<String> later(String source, String[] w) throws Exception {
        return ((Later) Class.forName(source).getDeclaredConstructor().newInstance()).obey(w);
    }

    static List<String> broker(String address) throws Exception {
        for (Member m : members.values()) m.close();
        members.clear();
        if (admin != null) admin.close();
        admin = null;
        bootstrap = address;
        patience = 30;
        return Collections.singletonList(org.apache.kafka.common.utils.AppInfoParser.getVersion());
    }

    static AdminClient admin() {
        if (admin == null) admin = (AdminClient) AdminClient.create(properties(Collections.emptyMap()));
        return admin;
    }

    static <T> T get(Future<T> future) throws Exception {
        return future.get(patience, TimeUnit.SECONDS);
    }

    static Properties properties(Map<String, String> more) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("metadata.max.age.ms", "500");
        p.putAll(more);
        return p;
    }

    static Map<String, String> options(String[] words, int from) {
        Map<String, String> got = new LinkedHashMap<>();
        for (int i = from; i < words.length; i++) {
            int eq = words[i].indexOf('=');
            got.put(words[i].substring(0, eq), words[i].substring(eq + 1));
        }
        return got;
    }

    static List<String> create(String topic, int partitions, Map<String, String> configs) throws Exception {
        get(admin().createTopics(Collections.singleton(new NewTopic(topic, partitions, (short) 1).configs(configs))).all());
        return Collections.emptyList();
    }

    @SuppressWarnings("unchecked")
    static List<String> describe(String topic) throws Exception {
        Object result = admin().describeTopics(Collections.singleton(topic));
        Map<String, TopicDescription> all = get((Future<Map<String, TopicDescription>>) call(result, "allTopicNames", "all"));
        List<String> lines = new ArrayList<>();
        for (TopicPartitionInfo p : all.get(topic).partitions())
            lines.add(p.partition() + " leader " + p.leader().id() + " replicas " + p.replicas().size() + " isr " + p.isr().size());
        return lines;
    }

    /** Calls the first method that this client has: names changed. */
    static Object call(Object on, String... names) throws Exception {
        for (String name : names) {
            try {
                return on.getClass().getMethod(name).invoke(on);
            } catch (NoSuchMethodException next) {
                continue;
            }
        }
        throw new NoSuchMethodException(on.getClass() + ": " + String.join(", ", names));
    }

    static List<String> cluster() throws Exception {
        DescribeClusterResult c = admin().describeCluster();
        Node n = get(c.controller());
        return Arrays.asList("nodes " + get(c.nodes()).size(), "controller " + n.id(), "address " + n.host() + ":" + n.port(), "id " + get(c.clusterId()).length());
    }

    static List<String> config(String topic, String key) throws Exception {
        ConfigResource r = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        ConfigEntry e = get(admin().describeConfigs(Collections.singleton(r)).all()).get(r).get(key);
        return Collections.singletonList(e.value() + " default " + e.isDefault());
    }

    static List<String> produce(String topic, int count, long time, Map<String, String> options) throws Exception {
        Properties p = properties(options);
        for (String key : new String[] {"key.serializer", "value.serializer"}) p.put(key, ByteArraySerializer.class.getName());
        p.putIfAbsent("acks", "all");
        p.putIfAbsent("linger.ms", "20");
        p.putIfAbsent("batch.size", "4096");
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        List<String> lines = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p)) {
            for (int i = 0; i < count; i++) {
                List<Header> headers = Arrays.asList(new RecordHeader("n", bytes("" + i)), new RecordHeader("none", (byte[]) null),
                        new RecordHeader("n", bytes("again")), new RecordHeader("", bytes("")));
                byte[] key = i % 29 == 28 ? null : bytes("key-" + i % 23), value = i % 31 == 30 ? null : bytes(value(i));
                sent.add(producer.send(new ProducerRecord<>(topic, null, time + i, key, value, headers)));
            }
            for (Future<RecordMetadata> f : sent) {
                RecordMetadata m = get(f);
                lines.add(m.partition() + " " + m.offset() + " " + m.timestamp());
            }
        }
        return lines;
    }

    /** One record of so many bytes, which do not compress. */
    static List<String> big(String topic, int size, Map<String, String> options) throws Exception {
        Properties p = properties(options);
        for (String key : new String[] {"key.serializer", "value.serializer"}) p.put(key, ByteArraySerializer.class.getName());
        p.put("max.request.size", "20000000");
        byte[] value = new byte[size];
        new Random(1).nextBytes(value);
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p)) {
            RecordMetadata m = get(producer.send(new ProducerRecord<>(topic, 0, null, value)));
            return Collections.singletonList(m.partition() + " " + m.offset());
        }
    }

    static String value(int i) {
        StringBuilder s = new StringBuilder("value-" + i);
        for (int n = 0; n < i % 40; n++) s.append(" samsa");
        return s.toString();
    }

    static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    static KafkaConsumer<byte[], byte[]> consumer(Map<String, String> options) {
        Properties p = properties(options);
        for (String key : new String[] {"key.deserializer", "value.deserializer"}) p.put(key, ByteArrayDeserializer.class.getName());
        p.putIfAbsent("auto.offset.reset", "earliest");
        p.putIfAbsent("enable.auto.commit", "false");
        p.putIfAbsent("max.poll.records", "50");
        return new KafkaConsumer<>(p);
    }

    /** poll took a number until 3.9 and takes a Duration since 2.0. */
    @SuppressWarnings("unchecked")
    static ConsumerRecords<byte[], byte[]> poll(KafkaConsumer<byte[], byte[]> c, long millis) throws Exception {
        try {
            try {
                return (ConsumerRecords<byte[], byte[]>) c.getClass().getMethod("poll", java.time.Duration.class).invoke(c, java.time.Duration.ofMillis(millis));
            } catch (NoSuchMethodException old) {
                return (ConsumerRecords<byte[], byte[]>) c.getClass().getMethod("poll", long.class).invoke(c, millis);
            }
        } catch (java.lang.reflect.InvocationTargetException e) {
            throw (Exception) e.getCause();
        }
    }

    static List<TopicPartition> partitions(KafkaConsumer<?, ?> c, String topic) {
        List<TopicPartition> all = new ArrayList<>();
        for (PartitionInfo p : c.partitionsFor(topic)) all.add(new TopicPartition(topic, p.partition()));
        all.sort(Comparator.comparing(TopicPartition::partition));
        return all;
    }

    static List<String> offsets(String topic) {
        List<String> lines = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> c = consumer(Collections.emptyMap())) {
            List<TopicPartition> all = partitions(c, topic);
            Map<TopicPartition, Long> begin = c.beginningOffsets(all), end = c.endOffsets(all);
            for (TopicPartition p : all) lines.add(p.partition() + " " + begin.get(p) + " " + end.get(p));
        }
        return lines;
    }

    static List<String> times(String topic, long time) {
        List<String> lines = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> c = consumer(Collections.emptyMap())) {
            Map<TopicPartition, Long> asked = new HashMap<>();
            List<TopicPartition> all = partitions(c, topic);
            for (TopicPartition p : all) asked.put(p, time);
            Map<TopicPartition, OffsetAndTimestamp> got = c.offsetsForTimes(asked);
            for (TopicPartition p : all) lines.add(p.partition() + " " + (got.get(p) == null ? "none" : got.get(p).offset() + " " + got.get(p).timestamp()));
        }
        return lines;
    }

    static List<String> read(String topic, int partition, long offset, int count, Map<String, String> options) throws Exception {
        List<String> lines = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> c = consumer(options)) {
            TopicPartition p = new TopicPartition(topic, partition);
            c.assign(Collections.singleton(p));
            c.seek(p, offset);
            for (long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(patience); lines.size() < count; ) {
                if (System.nanoTime() > end) throw new IllegalStateException(lines.size() + " of " + count + " records of " + p + " in time");
                for (ConsumerRecord<byte[], byte[]> r : poll(c, 100)) if (lines.size() < count) lines.add(show(r));
            }
        }
        return lines;
    }

    static String show(ConsumerRecord<byte[], byte[]> r) throws Exception {
        StringBuilder s = new StringBuilder();
        s.append(r.topic()).append(' ').append(r.partition()).append(' ').append(r.offset()).append(' ').append(r.timestamp()).append(' ');
        s.append(r.timestampType()).append(' ').append(r.key() == null ? "null" : new String(r.key(), StandardCharsets.UTF_8)).append(' ').append(sum(r.value()));
        for (Header h : r.headers()) s.append(' ').append(h.key()).append('=').append(h.value() == null ? "null" : "'" + new String(h.value(), StandardCharsets.UTF_8) + "'");
        return s.toString();
    }

    static String sum(byte[] value) throws Exception {
        if (value == null) return "null";
        StringBuilder s = new StringBuilder();
        for (byte b : MessageDigest.getInstance("SHA-256").digest(value)) s.append(String.format("%02x", b));
        return s.substring(0, 32);
    }
}
