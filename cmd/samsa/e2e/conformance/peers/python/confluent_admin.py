# SPDX-License-Identifier: Apache-2.0
"""A tour of confluent-kafka's admin client. Called as PROGRAM BOOTSTRAP; prints one line for each answer, without ids and times."""
import sys

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec

ADDR = {"bootstrap.servers": sys.argv[1]}
admin = AdminClient(ADDR)


def say(what, ask, show=lambda answer: answer):
    """Asks, waits for every future in the answer, and prints what came."""
    def wait(f):
        try:
            return show(f.result(20))
        except KafkaException as e:
            return e.args[0].name()
    def name(k):
        return k.partition if isinstance(k, TopicPartition) else getattr(k, "name", k)
    try:
        answer = ask()
        shown = {name(k): wait(f) for k, f in answer.items()} if isinstance(answer, dict) else wait(answer)
    except KafkaException as e:
        shown = e.args[0].name()
    print(what, shown, flush=True)


def config(*keys):
    return lambda answer: {k: (answer[k].value, answer[k].is_default, answer[k].is_read_only, answer[k].source) for k in keys}


topic = ConfigResource(ConfigResource.Type.TOPIC, "tour")
say("create", lambda: admin.create_topics([NewTopic("tour", 2, 1, config={"retention.ms": "86400000"})]))
say("create again", lambda: admin.create_topics([NewTopic("tour", 2, 1)]))
say("create badly", lambda: admin.create_topics([NewTopic("tour/", 2, 1)]))
say("create only to see", lambda: admin.create_topics([NewTopic("tour2", 2, 1)], validate_only=True))
say("more partitions", lambda: admin.create_partitions([NewPartitions("tour", 3)]))
say("fewer partitions", lambda: admin.create_partitions([NewPartitions("tour", 1)]))
shown = config("retention.ms", "cleanup.policy", "segment.bytes")
say("configs", lambda: admin.describe_configs([topic]), shown)
topic.add_incremental_config(ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.APPEND))
topic.add_incremental_config(ConfigEntry("retention.ms", None, incremental_operation=AlterConfigOpType.DELETE))
say("change configs", lambda: admin.incremental_alter_configs([topic]))
topic = ConfigResource(ConfigResource.Type.TOPIC, "tour")
say("configs", lambda: admin.describe_configs([topic]), shown)
topic.add_incremental_config(ConfigEntry("segment.bytes", "many", incremental_operation=AlterConfigOpType.SET))
say("change configs badly", lambda: admin.incremental_alter_configs([topic]))
say("configs of no topic", lambda: admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, "none")]), len)
say("configs of a broker", lambda: admin.describe_configs([ConfigResource(ConfigResource.Type.BROKER, "0")]), config("log.retention.hours"))

producer = Producer(ADDR)
for i in range(30):
    producer.produce("tour", b"%d" % i, b"key", partition=i % 3, timestamp=4000000000000 + i)
assert producer.flush(20) == 0
parts = [TopicPartition("tour", p) for p in range(3)]
for name, spec in (("earliest", OffsetSpec.earliest()), ("latest", OffsetSpec.latest()), ("newest", OffsetSpec.max_timestamp()),
                   ("at a time", OffsetSpec.for_timestamp(4000000000015)), ("too late", OffsetSpec.for_timestamp(4900000000000))):
    say("offsets, " + name, lambda: admin.list_offsets({p: spec for p in parts}, isolation_level=IsolationLevel.READ_COMMITTED),
        lambda r: (r.offset, r.timestamp))
say("delete records", lambda: admin.delete_records([TopicPartition("tour", 0, 4), TopicPartition("tour", 1, -1), TopicPartition("tour", 2, 99)]),
    lambda r: r.low_watermark)
say("offsets, earliest", lambda: admin.list_offsets({p: OffsetSpec.earliest() for p in parts}), lambda r: r.offset)
say("topics", lambda: admin.describe_topics(TopicCollection(["tour", "none"])),
    lambda d: (d.name, d.is_internal, [(p.id, p.leader.id, [r.id for r in p.replicas], [r.id for r in p.isr]) for p in d.partitions]))
say("cluster", lambda: admin.describe_cluster(), lambda d: (d.controller.id, [n.id for n in d.nodes], d.controller.rack))

member = Consumer({**ADDR, "group.id": "tourists", "auto.offset.reset": "earliest", "enable.auto.commit": False, "client.id": "tourist"})
member.subscribe(["tour"])
seen, tries = 0, 0
while seen < 16:
    seen, tries = seen + (member.poll(1) is not None), tries + 1
    assert tries < 60, "read %d of 16 records" % seen
member.commit(asynchronous=False)
say("groups", lambda: admin.list_consumer_groups(), lambda r: [(g.group_id, g.is_simple_consumer_group, g.state.name) for g in r.valid])
say("group", lambda: admin.describe_consumer_groups(["tourists", "none"]),
    lambda g: (g.group_id, g.state.name, g.partition_assignor, g.coordinator.id,
               [(m.client_id, [(p.topic, p.partition) for p in m.assignment.topic_partitions]) for m in g.members]))
say("delete the group in use", lambda: admin.delete_consumer_groups(["tourists"]))
wanted = ConsumerGroupTopicPartitions("tourists", [TopicPartition("tour", p, 5) for p in range(3)])
say("move offsets in use", lambda: admin.alter_consumer_group_offsets([wanted]), lambda r: [(p.partition, p.error and p.error.name()) for p in r.topic_partitions])
member.close()
say("offsets of the group", lambda: admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions("tourists")]),
    lambda r: sorted((p.partition, p.offset) for p in r.topic_partitions))
say("move offsets", lambda: admin.alter_consumer_group_offsets([wanted]), lambda r: [(p.partition, p.offset, p.error) for p in r.topic_partitions])
say("offsets of the group", lambda: admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions("tourists")]),
    lambda r: sorted((p.partition, p.offset) for p in r.topic_partitions))
say("delete the group", lambda: admin.delete_consumer_groups(["tourists"]))
say("delete no group", lambda: admin.delete_consumer_groups(["none"]))
say("delete", lambda: admin.delete_topics(["tour", "none"]))
