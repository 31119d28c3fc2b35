# SPDX-License-Identifier: Apache-2.0
"""confluent-kafka's part of the common story (see story.py)."""
import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from story import ADDR, CODEC, COUNT, PARTITIONS, TOPIC, check, in_time, key, record, resumed, stamp, step, value

admin = AdminClient({"bootstrap.servers": ADDR})
for f in admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)]).values():
    f.result(30)
step("admin")

placed = {}


def delivered(i):
    def told(err, m):
        check(err is None, "record", i, err)
        placed[(m.partition(), m.offset())] = i
    return told


producer = Producer({"bootstrap.servers": ADDR, "enable.idempotence": True, "compression.codec": CODEC, "linger.ms": 20})
for i in range(COUNT):
    producer.produce(TOPIC, key=key(i), value=value(i), headers=[("h", b"%d" % i)], timestamp=stamp(i), on_delivery=delivered(i))
    producer.poll(0)
check(producer.flush(60) == 0, "flush")
check(len(placed) == COUNT, "places told:", len(placed))
step("produce")
step("idempotent")


def consumer(**more):
    return Consumer({"bootstrap.servers": ADDR, "group.id": TOPIC + "-none", "auto.offset.reset": "earliest", "enable.auto.commit": False,
                     "check.crcs": True, **more})


def one(c):
    while True:
        in_time("polling")
        m = c.poll(0.5)
        if m is not None:
            check(m.error() is None, m.error())
            return m


def read_all(kind, topic):
    c = consumer()
    c.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(PARTITIONS)])
    for _ in range(COUNT):
        m = one(c)
        record(kind, m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers())
        if kind == "out":
            i = placed.get((m.partition(), m.offset()))
            check(i is not None and m.value() == value(i) and m.key() == key(i), "not what was sent:", m.partition(), m.offset())
    c.close()


read_all("out", TOPIC)
read_all("in", TOPIC + "-in")
step("consume")


def member(want):
    c = consumer(**{"group.id": TOPIC + "-group"})
    c.subscribe([TOPIC])
    got = []
    while len(got) < want:
        m = one(c)
        got.append((m.partition(), m.offset()))
    c.commit(asynchronous=False)
    c.close()
    return got


first = member(COUNT // 2)
resumed(first, member(COUNT - len(first)))
step("group")

c = consumer()
p = min(p for p, _ in placed)
c.assign([TopicPartition(TOPIC, p, OFFSET_BEGINNING)])
one(c)
c.seek(TopicPartition(TOPIC, p, 5))
check(one(c).offset() == 5, "after seek")
step("offset")
half = stamp(COUNT // 2)
found = c.offsets_for_times([TopicPartition(TOPIC, p, half)], 30)[0]
want = min(o for (q, o), i in placed.items() if q == p and stamp(i) >= half)
check(found.offset == want, "by timestamp:", found, "want", want)
c.seek(found)
check(one(c).offset() == want, "after the timestamp")
c.close()
step("timestamp")


def wait_for(members, want):
    while sorted(len(c.assignment()) for c in members) != want:
        in_time("shares", [len(c.assignment()) for c in members])
        for c in members:
            c.poll(0.05)


members = [consumer(**{"group.id": TOPIC + "-shared", "heartbeat.interval.ms": 300, "session.timeout.ms": 6000}) for _ in range(2)]
for c in members:
    c.subscribe([TOPIC])
wait_for(members, [1, 2])
members[1].close()
wait_for(members[:1], [3])
members[0].close()
step("share")
print("done", confluent_kafka.__version__, "librdkafka", confluent_kafka.libversion()[0])
