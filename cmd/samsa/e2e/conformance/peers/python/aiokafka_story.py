# SPDX-License-Identifier: Apache-2.0
"""aiokafka's part of the common story (see story.py)."""
import asyncio

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from story import ADDR, CODEC, COUNT, PARTITIONS, TOPIC, check, in_time, key, record, resumed, stamp, step, value


async def produce():
    admin = AIOKafkaAdminClient(bootstrap_servers=ADDR)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, num_partitions=PARTITIONS, replication_factor=1)])
    await admin.close()
    step("admin")
    codec = None if CODEC == "none" else CODEC
    async with AIOKafkaProducer(bootstrap_servers=ADDR, compression_type=codec, linger_ms=20, enable_idempotence=True) as producer:
        sent = [await producer.send(TOPIC, key=key(i), value=value(i), headers=[("h", b"%d" % i)], timestamp_ms=stamp(i)) for i in range(COUNT)]
        placed = {}
        for i, future in enumerate(sent):
            m = await future
            placed[(m.partition, m.offset)] = i
    check(len(placed) == COUNT, "places told:", len(placed))
    step("produce")
    step("idempotent")
    return placed


def consumer(*topics, **more):
    return AIOKafkaConsumer(*topics, bootstrap_servers=ADDR, auto_offset_reset="earliest", enable_auto_commit=False, **more)


async def read_all(kind, topic, placed):
    async with consumer() as c:
        c.assign([TopicPartition(topic, p) for p in range(PARTITIONS)])
        for _ in range(COUNT):
            m = await c.getone()
            record(kind, m.partition, m.offset, m.timestamp, m.key, m.value, m.headers)
            if kind == "out":
                i = placed.get((m.partition, m.offset))
                check(i is not None and m.value == value(i) and m.key == key(i), "not what was sent:", m)


async def member(want):
    got = []
    async with consumer(TOPIC, group_id=TOPIC + "-group") as c:
        while len(got) < want:
            for records in (await c.getmany(timeout_ms=500, max_records=50)).values():
                got += [(m.partition, m.offset) for m in records]
            await c.commit()
    return got


async def rewind(placed):
    async with consumer() as c:
        tp = TopicPartition(TOPIC, min(p for p, _ in placed))
        c.assign([tp])
        c.seek(tp, 5)
        check((await c.getone()).offset == 5, "after seek")
        step("offset")
        half = stamp(COUNT // 2)
        found = (await c.offsets_for_times({tp: half}))[tp]
        want = min(o for (p, o), i in placed.items() if p == tp.partition and stamp(i) >= half)
        check(found.offset == want and found.timestamp >= half, "by timestamp:", found, "want", want)
        c.seek(tp, found.offset)
        check((await c.getone()).offset == want, "after the timestamp")
        step("timestamp")


async def share():
    def member():
        return consumer(TOPIC, group_id=TOPIC + "-shared", heartbeat_interval_ms=300, session_timeout_ms=6000)

    async def wait_for(members, want):
        while sorted(len(c.assignment()) for c in members) != want:
            in_time("shares", [len(c.assignment()) for c in members])
            for c in members:
                await c.getmany(timeout_ms=50)

    first, second = member(), member()
    await asyncio.gather(first.start(), second.start())
    await wait_for([first, second], [1, 2])
    await second.stop()
    await wait_for([first], [3])
    await first.stop()
    step("share")


async def main():
    placed = await produce()
    await read_all("out", TOPIC, placed)
    await read_all("in", TOPIC + "-in", placed)
    step("consume")
    first = await member(COUNT // 2)
    resumed(first, await member(COUNT - len(first)))
    step("group")
    await rewind(placed)
    await share()


asyncio.run(asyncio.wait_for(main(), 100))
print("done", aiokafka.__version__)
