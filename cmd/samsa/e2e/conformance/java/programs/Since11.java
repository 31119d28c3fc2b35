// SPDX-License-Identifier: Apache-2.0

import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.common.TopicPartition;

/** What admin clients can do since 1.1. */
final class Since11 implements Driver.Later {
    @Override public List<String> obey(String[] w) throws Exception {
        if (w[0].equals("grow")) {
            Driver.get(Driver.admin().createPartitions(Collections.singletonMap(w[1], NewPartitions.increaseTo(Integer.parseInt(w[2])))).all());
            return Collections.emptyList();
        }
        TopicPartition p = new TopicPartition(w[1], Integer.parseInt(w[2]));
        Map<TopicPartition, RecordsToDelete> cut = Collections.singletonMap(p, RecordsToDelete.beforeOffset(Long.parseLong(w[3])));
        return Collections.singletonList("low watermark " + Driver.get(Driver.admin().deleteRecords(cut).lowWatermarks().get(p)).lowWatermark());
    }
}
