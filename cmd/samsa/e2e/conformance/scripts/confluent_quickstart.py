# SPDX-License-Identifier: Apache-2.0
"""confluent-kafka: idempotent producer, group with commits, admin client."""
import sys

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

ADDR = {"bootstrap.servers": sys.argv[1]}

admin = AdminClient(ADDR)
for f in admin.create_topics([NewTopic("confluent", 3, 1, config={"retention.ms": "86400000"})]).values():
    f.result(10)
resource = ConfigResource(ConfigResource.Type.TOPIC, "confluent")
configs = list(admin.describe_configs([resource]).values())[0].result(10)
assert configs["retention.ms"].value == "86400000", configs["retention.ms"]
assert configs["cleanup.policy"].value == "delete" and configs["cleanup.policy"].is_default
print("ok admin", flush=True)

for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    acked = []
    p = Producer({**ADDR, "enable.idempotence": True, "compression.codec": codec, "linger.ms": 5})
    for i in range(1000):
        p.produce("confluent", key=b"%d" % (i % 7), value=b"%s %d" % (codec.encode(), i), on_delivery=lambda e, m: acked.append((e, m)))
        p.poll(0)
    assert p.flush(30) == 0
    assert len(acked) == 1000 and all(e is None for e, _ in acked), acked[:3]
print("ok idempotent producer, every codec", flush=True)


def consume(want):
    c = Consumer({**ADDR, "group.id": "confluent-group", "auto.offset.reset": "earliest", "enable.auto.commit": False, "check.crcs": True})
    c.subscribe(["confluent"])
    got = []
    while len(got) < want:
        m = c.poll(10)
        assert m is not None, "nothing for 10 s after %d records" % len(got)
        assert m.error() is None or m.error().code() == KafkaError._PARTITION_EOF, m.error()
        got.append(m.value())
    c.commit(asynchronous=False)
    committed = sum(o.offset for o in c.committed([TopicPartition("confluent", i) for i in range(3)], 10) if o.offset > 0)
    c.close()
    return got, committed


got, committed = consume(5000)
assert len(set(got)) == 5000 and committed == 5000, (len(set(got)), committed)
p = Producer(ADDR)
p.produce("confluent", b"one more")
assert p.flush(10) == 0
got, committed = consume(1)
assert got == [b"one more"] and committed >= 5001, (got, committed)
print("ok group with commits", flush=True)
for f in admin.delete_topics(["confluent"]).values():
    f.result(10)
print("ok delete", flush=True)
