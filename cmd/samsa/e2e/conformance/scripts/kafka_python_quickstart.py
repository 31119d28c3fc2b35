# SPDX-License-Identifier: Apache-2.0
"""The README's quick start, step by step, each step checked."""
import json
import sys
import threading
import time

import msgpack
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

ADDR = sys.argv[1]
EARLIEST = dict(bootstrap_servers=[ADDR], auto_offset_reset="earliest", consumer_timeout_ms=5000)


def step(name):
    print("ok", name, flush=True)


# send in a loop, to a topic that does not exist yet
producer = KafkaProducer(bootstrap_servers=[ADDR])
for i in range(100):
    producer.send("my-topic", b"msg %d" % i)
producer.flush()
consumer = KafkaConsumer("my-topic", **EARLIEST)
assert [m.value for m in consumer] == [b"msg %d" % i for i in range(100)]
step("send in a loop and flush, consume from earliest, consumer_timeout_ms")

# a synchronous send tells topic, partition and offset
future = producer.send("my-topic", b"raw_bytes")
try:
    metadata = future.get(timeout=10)
except KafkaError as e:
    raise SystemExit("future.get: %r" % e)
assert (metadata.topic, metadata.partition, metadata.offset) == ("my-topic", 0, 100), metadata
step("future.get() gives topic, partition, offset")

# keyed messages land by hash: one key, one partition
from kafka.admin import KafkaAdminClient, NewTopic
admin = KafkaAdminClient(bootstrap_servers=[ADDR])
admin.create_topics([NewTopic("keyed", num_partitions=4, replication_factor=1)])
places = {}
for i in range(40):
    m = producer.send("keyed", key=b"key-%d" % (i % 8), value=b"%d" % i).get(timeout=10)
    places.setdefault(i % 8, set()).add(m.partition)
assert all(len(p) == 1 for p in places.values()), places
assert len(set().union(*places.values())) > 1, places
step("keyed messages land by hash")

# msgpack and JSON serialisers
packer = KafkaProducer(bootstrap_servers=[ADDR], value_serializer=msgpack.dumps)
packer.send("msgpack-topic", {"key": "value"})
packer.flush()
assert next(KafkaConsumer("msgpack-topic", value_deserializer=msgpack.unpackb, **EARLIEST).__iter__()).value == {"key": "value"}
dumper = KafkaProducer(bootstrap_servers=[ADDR], value_serializer=lambda m: json.dumps(m).encode("ascii"))
dumper.send("json-topic", {"key": "value"})
dumper.flush()
assert next(iter(KafkaConsumer("json-topic", value_deserializer=lambda m: json.loads(m.decode("ascii")), **EARLIEST))).value == {"key": "value"}
step("msgpack and JSON serialisers")

# retries
retrying = KafkaProducer(bootstrap_servers=[ADDR], retries=5)
assert retrying.send("my-topic", b"again").get(timeout=10).offset == 101
step("retries=5")

# a group with auto-commit goes on where it stopped
def read_group():
    c = KafkaConsumer("my-topic", group_id="my-group", enable_auto_commit=True, auto_commit_interval_ms=100, **EARLIEST)
    values = [m.value for m in c]
    c.close()
    return values


assert len(read_group()) == 102
producer.send("my-topic", b"later").get(timeout=10)
assert read_group() == [b"later"]
step("a group with auto-commit")

# a pattern picks up a topic that is created later
pattern = KafkaConsumer(group_id="pattern", metadata_max_age_ms=500, **EARLIEST)
pattern.subscribe(pattern="^awesome.*")
pattern.poll(timeout_ms=500)
producer.send("awesome-later", b"found").get(timeout=10)
deadline, found = time.time() + 30, []
while not found and time.time() < deadline:
    for records in pattern.poll(timeout_ms=500).values():
        found += [r.value for r in records]
assert found == [b"found"], found
pattern.close()
step("subscribe(pattern=...) sees a topic created later")

# two consumers share partitions, one leaves; kafka-python needs a thread each, and its version 3 long polls: it forgets an
# assignment that arrives while no poll waits for it
shared = {}


def member(name, stop):
    c = KafkaConsumer("keyed", group_id="two", bootstrap_servers=[ADDR], auto_offset_reset="earliest",
                      session_timeout_ms=6000, heartbeat_interval_ms=300, metadata_max_age_ms=500)
    while not stop.is_set():
        c.poll(timeout_ms=1000)
        shared[name] = len(c.assignment())
    c.close()
    shared[name] = 0


def wait_for(condition):
    deadline = time.time() + 40
    while not condition():
        assert time.time() < deadline, shared
        time.sleep(0.1)


stops = [threading.Event(), threading.Event()]
threads = [threading.Thread(target=member, args=(i, stops[i])) for i in range(2)]
for t in threads:
    t.start()
wait_for(lambda: shared.get(0) == 2 and shared.get(1) == 2)
stops[1].set()
wait_for(lambda: shared.get(0) == 4 and shared.get(1) == 0)
stops[0].set()
for t in threads:
    t.join()
step("two consumers of a group share partitions, one leaves")

# rewind
consumer = KafkaConsumer(bootstrap_servers=[ADDR], consumer_timeout_ms=5000)
tp = TopicPartition("my-topic", 0)
consumer.assign([tp])
consumer.seek(tp, 50)
assert next(iter(consumer)).value == b"msg 50"
stamp = next(iter(consumer)).timestamp
found = consumer.offsets_for_times({tp: stamp})[tp]
assert found.timestamp == stamp and found.offset <= 51, found
step("rewind to an offset and to a timestamp")
