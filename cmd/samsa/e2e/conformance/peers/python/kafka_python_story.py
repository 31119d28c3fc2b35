# SPDX-License-Identifier: Apache-2.0
"""kafka-python's part of the common story (see story.py)."""
import threading

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from story import ADDR, CODEC, COUNT, PARTITIONS, TOPIC, check, in_time, key, record, resumed, stamp, step, value

NEW = int(kafka.__version__.split(".")[0]) > 2
codec = None if CODEC == "none" else CODEC

admin = KafkaAdminClient(bootstrap_servers=[ADDR])
admin.create_topics([NewTopic(TOPIC, num_partitions=PARTITIONS, replication_factor=1)])
admin.close()
step("admin")

more = {"enable_idempotence": True} if NEW else {}
producer = KafkaProducer(bootstrap_servers=[ADDR], compression_type=codec, linger_ms=20, acks="all", **more)
sent = [producer.send(TOPIC, key=key(i), value=value(i), headers=[("h", b"%d" % i)], timestamp_ms=stamp(i)) for i in range(COUNT)]
producer.flush()
placed = {}
for i, future in enumerate(sent):
    m = future.get(timeout=30)
    placed[(m.partition, m.offset)] = i
producer.close()
check(len(placed) == COUNT, "places told:", len(placed))
step("produce")
if NEW:
    step("idempotent")


def assigned(topic, **more):
    c = KafkaConsumer(bootstrap_servers=[ADDR], auto_offset_reset="earliest", enable_auto_commit=False, check_crcs=True, **more)
    c.assign([TopicPartition(topic, p) for p in range(PARTITIONS)])
    return c


def read_all(kind, topic):
    c, got = assigned(topic), 0
    while got < COUNT:
        in_time("reading", topic, got)
        for records in c.poll(timeout_ms=500).values():
            for m in records:
                got += 1
                record(kind, m.partition, m.offset, m.timestamp, m.key, m.value, m.headers)
                if kind == "out":
                    i = placed.get((m.partition, m.offset))
                    check(i is not None and m.value == value(i) and m.key == key(i), "not what was sent:", m)
    c.close()


read_all("out", TOPIC)
read_all("in", TOPIC + "-in")
step("consume")


def member(want):
    c = KafkaConsumer(TOPIC, bootstrap_servers=[ADDR], group_id=TOPIC + "-group", auto_offset_reset="earliest", enable_auto_commit=False)
    got = []
    while len(got) < want:
        in_time("group", len(got))
        for records in c.poll(timeout_ms=500, max_records=50).values():
            got += [(m.partition, m.offset) for m in records]
        c.commit()
    c.close()
    return got


first = member(COUNT // 2)
resumed(first, member(COUNT - len(first)))
step("group")

c = assigned(TOPIC)
tp = TopicPartition(TOPIC, min(p for p, _ in placed))
c.seek(tp, 5)
c.pause(*[other for other in c.assignment() if other != tp])
m = next(iter(c))
check((m.partition, m.offset) == (tp.partition, 5), "after seek:", m)
step("offset")
half = stamp(COUNT // 2)
found = c.offsets_for_times({tp: half})[tp]
want = min(o for (p, o), i in placed.items() if p == tp.partition and stamp(i) >= half)
check(found.offset == want and found.timestamp >= half, "by timestamp:", found, "want", want)
c.seek(tp, found.offset)
check(next(iter(c)).offset == want, "after the timestamp")
c.close()
step("timestamp")

shared, stops = {}, [threading.Event(), threading.Event()]


# kafka-python 3 forgets an assignment that arrives while no poll waits for it (with a real Kafka 3.9, too): polls are long.
def share(name):
    c = KafkaConsumer(TOPIC, group_id=TOPIC + "-shared", bootstrap_servers=[ADDR], session_timeout_ms=6000, heartbeat_interval_ms=300)
    while not stops[name].is_set():
        c.poll(timeout_ms=1000 if NEW else 100)
        shared[name] = len(c.assignment())
    c.close()
    shared[name] = 0


def wait_for(*wants):
    while sorted(shared.values()) not in wants:
        in_time("shares", shared)
        threading.Event().wait(0.05)


threads = [threading.Thread(target=share, args=(name,), daemon=True) for name in range(2)]
for t in threads:
    t.start()
wait_for([1, 2])
stops[1].set()
wait_for([0, 3])
stops[0].set()
for t in threads:
    t.join()
step("share")
print("done", kafka.__version__)
