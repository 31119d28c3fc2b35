// SPDX-License-Identifier: Apache-2.0

import java.util.*;
import java.util.concurrent.*;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;

/** A member of a group: a consumer on a thread of its own, which polls, keeps what came, and does tasks between polls. */
final class Member extends Thread implements ConsumerRebalanceListener {
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final BlockingQueue<FutureTask<List<String>>> tasks = new LinkedBlockingQueue<>();
    private final List<String> records = new ArrayList<>(), events = new ArrayList<>();
    private volatile boolean closing;
    private volatile Throwable failed;
    private int taken, limit = Integer.MAX_VALUE;

    Member(String group, String topics, Map<String, String> options) {
        Map<String, String> all = new HashMap<>(options);
        if (!group.isEmpty()) all.put("group.id", group);
        if (all.containsKey("limit")) limit = Integer.parseInt(all.remove("limit"));
        all.putIfAbsent("session.timeout.ms", "10000");
        all.putIfAbsent("heartbeat.interval.ms", "200");
        if ("consumer".equals(all.get("group.protocol"))) all.keySet().removeAll(Arrays.asList("session.timeout.ms", "heartbeat.interval.ms"));
        consumer = Driver.consumer(all);
        if (topics.startsWith("^")) consumer.subscribe(Pattern.compile(topics), this);
        else consumer.subscribe(Arrays.asList(topics.split(",")), this);
        setDaemon(true);
        start();
    }

    @Override public void run() {
        try {
            while (!closing) {
                for (FutureTask<List<String>> task; (task = tasks.poll()) != null; ) task.run();
                keep(Driver.poll(consumer, 50));
            }
        } catch (Throwable t) {
            failed = t;
            t.printStackTrace();
        }
        for (FutureTask<List<String>> task; (task = tasks.poll()) != null; ) task.cancel(false);
        consumer.close();
    }

    /** Past its limit a member goes on polling, with its partitions paused. */
    private synchronized void keep(ConsumerRecords<byte[], byte[]> got) throws Exception {
        for (ConsumerRecord<byte[], byte[]> r : got) records.add(Driver.show(r));
        if (taken + records.size() >= limit) consumer.pause(consumer.assignment());
        notifyAll();
    }

    private List<String> does(Callable<List<String>> work) throws Exception {
        FutureTask<List<String>> task = new FutureTask<>(work);
        tasks.add(task);
        return task.get(Driver.patience, TimeUnit.SECONDS);
    }

    /** Waits for so many records, and gives and forgets what came. */
    synchronized List<String> take(int count) throws Exception {
        for (long end = System.currentTimeMillis() + Driver.patience * 1000; records.size() < count; wait(100)) {
            if (failed != null) throw new ExecutionException(failed);
            if (System.currentTimeMillis() > end) throw new TimeoutException(records.size() + " of " + count + " records in time");
        }
        List<String> got = new ArrayList<>(records);
        taken += records.size();
        records.clear();
        return got;
    }

    /** Waits for partitions. */
    synchronized List<String> await() throws Exception {
        for (long end = System.currentTimeMillis() + Driver.patience * 1000; !String.join("", events).contains("+"); wait(100)) {
            if (failed != null) throw new ExecutionException(failed);
            if (System.currentTimeMillis() > end) throw new TimeoutException("no assignment in time");
        }
        return Collections.emptyList();
    }

    List<String> limit(int n) throws Exception {
        return does(() -> {
            synchronized (this) {
                limit = n;
            }
            consumer.resume(consumer.assignment());
            return Collections.emptyList();
        });
    }

    List<String> assignment() throws Exception {
        if (failed != null) throw new ExecutionException(failed);
        return does(() -> names(consumer.assignment()));
    }

    synchronized List<String> events() {
        return new ArrayList<>(events);
    }

    List<String> commit() throws Exception {
        return does(() -> {
            consumer.commitSync();
            return Collections.emptyList();
        });
    }

    List<String> seek(String topic, int partition, long offset) throws Exception {
        return does(() -> {
            consumer.seek(new TopicPartition(topic, partition), offset);
            return Collections.emptyList();
        });
    }

    /** Stands at the end of all its partitions, with the positions known. */
    List<String> seekEnd() throws Exception {
        return does(() -> {
            consumer.seekToEnd(consumer.assignment());
            for (TopicPartition p : consumer.assignment()) consumer.position(p);
            return Collections.emptyList();
        });
    }

    void close() throws Exception {
        closing = true;
        join(30_000);
        if (isAlive()) throw new TimeoutException("a consumer did not close within 30 s");
    }

    private static List<String> names(Collection<TopicPartition> partitions) {
        TreeSet<String> sorted = new TreeSet<>();
        for (TopicPartition p : partitions) sorted.add(p.toString());
        return new ArrayList<>(sorted);
    }

    @Override public synchronized void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        if (!partitions.isEmpty()) events.add("-" + String.join(",", names(partitions)));
    }

    @Override public synchronized void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        events.add("+" + String.join(",", names(partitions)));
    }
}
