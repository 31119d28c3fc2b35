// SPDX-License-Identifier: Apache-2.0

import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** What admin clients can do since 2.8, and a little since later. */
final class Since28 implements Driver.Later {
    @Override public List<String> obey(String[] w) throws Exception {
        switch (w[0]) {
            case "alter": return alter(w[1], Driver.options(w, 2));
            case "list-offsets": return listOffsets(w[1], Integer.parseInt(w[2]), w[3]);
            case "move": return move(w[1], new TopicPartition(w[2], Integer.parseInt(w[3])), Long.parseLong(w[4]));
            case "unmove": return unmove(w[1], new TopicPartition(w[2], Integer.parseInt(w[3])));
            case "remove": return remove(w[1], w[2]);
            case "broker-config": return brokerConfig(w[1], w[2]);
            case "log-dirs": return logDirs(Integer.parseInt(w[1]));
            case "features": return Collections.singletonList("finalized " + Driver.get(Driver.admin().describeFeatures().featureMetadata()).finalizedFeatures());
            default: throw new IllegalArgumentException("no command " + w[0]);
        }
    }

    private static List<String> alter(String topic, Map<String, String> configs) throws Exception {
        List<AlterConfigOp> ops = new ArrayList<>();
        configs.forEach((k, v) -> ops.add(new AlterConfigOp(new ConfigEntry(k, v), v.isEmpty() ? AlterConfigOp.OpType.DELETE : AlterConfigOp.OpType.SET)));
        Driver.get(Driver.admin().incrementalAlterConfigs(Collections.singletonMap(new ConfigResource(ConfigResource.Type.TOPIC, topic), ops)).all());
        return Collections.emptyList();
    }

    private static List<String> listOffsets(String topic, int partition, String what) throws Exception {
        OffsetSpec spec = what.matches("\\d+") ? OffsetSpec.forTimestamp(Long.parseLong(what)) : (OffsetSpec) OffsetSpec.class.getMethod(what).invoke(null);
        TopicPartition p = new TopicPartition(topic, partition);
        ListOffsetsResult.ListOffsetsResultInfo got = Driver.get(Driver.admin().listOffsets(Collections.singletonMap(p, spec)).partitionResult(p));
        return Collections.singletonList(got.offset() + " " + got.timestamp() + " " + got.leaderEpoch().isPresent());
    }

    private static List<String> move(String group, TopicPartition p, long to) throws Exception {
        Driver.get(Driver.admin().alterConsumerGroupOffsets(group, Collections.singletonMap(p, new OffsetAndMetadata(to, "moved"))).all());
        return Collections.emptyList();
    }

    private static List<String> unmove(String group, TopicPartition p) throws Exception {
        Driver.get(Driver.admin().deleteConsumerGroupOffsets(group, Collections.singleton(p)).all());
        return Collections.emptyList();
    }

    private static List<String> remove(String group, String instance) throws Exception {
        RemoveMembersFromConsumerGroupOptions whom = instance.isEmpty() ? new RemoveMembersFromConsumerGroupOptions()
                : new RemoveMembersFromConsumerGroupOptions(Collections.singleton(new MemberToRemove(instance)));
        Driver.get(Driver.admin().removeMembersFromConsumerGroup(group, whom).all());
        return Collections.emptyList();
    }

    private static List<String> brokerConfig(String broker, String key) throws Exception {
        ConfigResource r = new ConfigResource(ConfigResource.Type.BROKER, broker);
        DescribeConfigsOptions all = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        ConfigEntry e = Driver.get(Driver.admin().describeConfigs(Collections.singleton(r), all).all()).get(r).get(key);
        return Arrays.asList(key + " = " + e.value() + " " + e.source() + " " + e.type() + " sensitive " + e.isSensitive() + " read-only " + e.isReadOnly()
                + " documented " + (e.documentation() != null), "synonyms " + e.synonyms());
    }

    private static List<String> logDirs(int broker) throws Exception {
        List<String> lines = new ArrayList<>();
        for (LogDirDescription d : Driver.get(Driver.admin().describeLogDirs(Collections.singleton(broker)).allDescriptions()).get(broker).values()) {
            lines.add("error " + d.error());
            TreeMap<String, String> sorted = new TreeMap<>();
            d.replicaInfos().forEach((p, r) -> sorted.put(p.toString(), p + " size>0 " + (r.size() > 0) + " lag " + r.offsetLag() + " future " + r.isFuture()));
            for (String l : sorted.values()) if (!l.startsWith("__")) lines.add(l);
        }
        return lines;
    }
}
