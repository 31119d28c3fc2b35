# SPDX-License-Identifier: Apache-2.0
"""A tour of kafka-python 3's admin client. Called as PROGRAM BOOTSTRAP; prints one line for each answer, without ids and times."""
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic
from kafka.structs import OffsetAndMetadata

admin = KafkaAdminClient(bootstrap_servers=[sys.argv[1]], request_timeout_ms=20000)
UNTOLD = ("error_message", "partition_size", "total_bytes", "usable_bytes", "size", "log_dir", "throttle_time_ms", "cluster_id", "topic_id", "member_id", "client_host",
          "host", "port", "member_assignment", "member_metadata", "last_timestamp", "producer_id", "coordinator", "authorized_operations")


def plain(a):
    """Without what differs from run to run, and in order where Kafka has none."""
    if isinstance(a, dict):
        return {str(k): plain(v) for k, v in sorted(a.items(), key=str) if k not in UNTOLD}
    if isinstance(a, (list, tuple, set)) and not hasattr(a, "_fields"):
        return sorted((plain(v) for v in a), key=str)
    return str(getattr(a, "name", a)) if not isinstance(a, (int, str, type(None))) else a


def say(what, ask, show=lambda a: a):
    try:
        answer = plain(show(ask()))
    except Exception as e:
        answer = type(e).__name__
    print(what, answer, flush=True)


tp = [TopicPartition("tour", p) for p in range(2)]
say("create", lambda: admin.create_topics([NewTopic("tour", num_partitions=2, replication_factor=1)]), lambda a: "done")
say("create again", lambda: admin.create_topics([NewTopic("tour", num_partitions=2, replication_factor=1)]))
say("create with too many replicas", lambda: admin.create_topics([NewTopic("many", num_partitions=1, replication_factor=3)]))
say("create with assignments", lambda: admin.create_topics([NewTopic("placed", replica_assignments={0: [0], 1: [0]})]), lambda a: "done")
producer = KafkaProducer(bootstrap_servers=[sys.argv[1]], enable_idempotence=True)
for i in range(20):
    producer.send("tour", b"%d" % i, partition=i % 2, timestamp_ms=4000000000000 + i)
producer.flush()
say("topics", lambda: sorted(t for t in admin.list_topics() if not t.startswith("_")))
say("topic", lambda: admin.describe_topics(["tour"]))
say("log dirs", lambda: admin.describe_log_dirs(topic_partitions={"tour": [0, 1]}))
say("change a config", lambda: admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "tour", {"retention.ms": "1234567"})]), lambda a: "done")
say("configs", lambda: admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "tour")]))
say("reset a config", lambda: admin.reset_configs([ConfigResource(ConfigResourceType.TOPIC, "tour", ["retention.ms"])]), lambda a: "done")
say("configs", lambda: admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "tour")]))
c = KafkaConsumer("tour", bootstrap_servers=[sys.argv[1]], group_id="tourists", auto_offset_reset="earliest", consumer_timeout_ms=5000)
seen = 0
for m in c:
    seen += 1
    if seen == 20:
        break
c.commit()
say("groups", lambda: [(g.group_id, g.group_state) if hasattr(g, "group_id") else g for g in admin.list_groups()])
say("group", lambda: admin.describe_groups(["tourists"]))
say("delete offsets in use", lambda: admin.delete_group_offsets("tourists", tp))
c.close()
say("offsets of the group", lambda: admin.list_group_offsets("tourists"))
say("move offsets", lambda: admin.alter_group_offsets("tourists", {tp[0]: OffsetAndMetadata(3, "moved", -1)}))
say("delete offsets", lambda: admin.delete_group_offsets("tourists", tp[1:]))
say("offsets of the group", lambda: admin.list_group_offsets("tourists"))
say("delete groups", lambda: admin.delete_groups(["tourists", "none"]))
say("delete records", lambda: admin.delete_records({tp[0]: 4}))
say("more partitions", lambda: admin.create_partitions({"tour": 4}), lambda a: "done")
say("fewer partitions", lambda: admin.create_partitions({"tour": 1}))
say("delete", lambda: admin.delete_topics(["tour"]), lambda a: "done")
say("delete none", lambda: admin.delete_topics(["none"]))
