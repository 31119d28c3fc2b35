// SPDX-License-Identifier: Apache-2.0

import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** What admin clients can do since 2.0. */
final class Since20 implements Driver.Later {
    @Override public List<String> obey(String[] w) throws Exception {
        switch (w[0]) {
            case "groups": return groups();
            case "group": return group(w[1]);
            case "committed": return committed(w[1]);
            case "forget": Driver.get(Driver.admin().deleteConsumerGroups(Collections.singleton(w[1])).all()); return Collections.emptyList();
            default: throw new IllegalArgumentException("no command " + w[0]);
        }
    }

    private static List<String> groups() throws Exception {
        TreeSet<String> lines = new TreeSet<>();
        for (ConsumerGroupListing g : Driver.get(Driver.admin().listConsumerGroups().all())) lines.add(g.groupId() + " simple " + g.isSimpleConsumerGroup());
        return new ArrayList<>(lines);
    }

    private static List<String> group(String name) throws Exception {
        ConsumerGroupDescription g = Driver.get(Driver.admin().describeConsumerGroups(Collections.singleton(name)).all()).get(name);
        TreeSet<String> lines = new TreeSet<>();
        lines.add("state " + g.state() + " assignor " + g.partitionAssignor() + " coordinator " + g.coordinator().id());
        for (MemberDescription m : g.members()) {
            TreeSet<String> partitions = new TreeSet<>();
            for (TopicPartition p : m.assignment().topicPartitions()) partitions.add(p.toString());
            lines.add("member " + m.clientId() + " at " + m.host() + " has " + String.join(",", partitions));
        }
        return new ArrayList<>(lines);
    }

    private static List<String> committed(String name) throws Exception {
        TreeSet<String> lines = new TreeSet<>();
        for (Map.Entry<TopicPartition, OffsetAndMetadata> e : Driver.get(Driver.admin().listConsumerGroupOffsets(name).partitionsToOffsetAndMetadata()).entrySet())
            lines.add(e.getKey() + " " + e.getValue().offset());
        return new ArrayList<>(lines);
    }
}
