// SPDX-License-Identifier: Apache-2.0
// node-rdkafka's part of the common story (see ../node/story.js).
'use strict';
const rdkafka = require('node-rdkafka');
const story = require('../node/story.js');
const { addr, topic, codec, count } = story;

// call turns a function with a callback into a promise.
const call = (fn) => new Promise((resolve, reject) => fn((err, result) => (err ? reject(err) : resolve(result))));

async function produce() {
  const admin = rdkafka.AdminClient.create({ 'metadata.broker.list': addr });
  await call((cb) => admin.createTopic({ topic, num_partitions: story.partitions, replication_factor: 1 }, 30000, cb));
  admin.disconnect();
  story.step('admin');
  const producer = new rdkafka.Producer({ 'metadata.broker.list': addr, 'enable.idempotence': true, 'compression.codec': codec, 'linger.ms': 20,
    dr_cb: true });
  producer.on('event.error', (err) => story.fail(err));
  producer.on('delivery-report', (err, report) => {
    story.check(!err, err);
    story.put(report.partition, report.offset, report.opaque);
  });
  await call((cb) => producer.connect({}, cb));
  producer.setPollInterval(20);
  for (let i = 0; i < count; i++) {
    producer.produce(topic, null, Buffer.from(story.value(i)), story.key(i), story.stamp(i), i, [{ h: String(i) }]);
  }
  await call((cb) => producer.flush(30000, cb));
  await story.until(() => story.placed.size === count);
  await call((cb) => producer.disconnect(cb));
  story.step('produce');
  story.step('idempotent');
}

async function consumer(group) {
  const c = new rdkafka.KafkaConsumer({ 'metadata.broker.list': addr, 'group.id': `${topic}-${group}`, 'enable.auto.commit': false, 'check.crcs': true,
    'heartbeat.interval.ms': 300, 'session.timeout.ms': 6000 }, { 'auto.offset.reset': 'earliest' });
  c.on('event.error', (err) => story.fail(err));
  await call((cb) => c.connect({}, cb));
  c.setDefaultConsumeTimeout(200);
  return c;
}

const close = (c) => call((cb) => c.disconnect(cb));

async function one(c) {
  for (;;) {
    const [m] = await call((cb) => c.consume(1, cb));
    if (m) return m;
  }
}

async function readAll(kind, from) {
  const c = await consumer('none');
  c.assign([0, 1, 2].map((partition) => ({ topic: from, partition, offset: 0 })));
  for (let n = 0; n < count; ) {
    for (const m of await call((cb) => c.consume(100, cb))) {
      n++;
      story.record(kind, m.partition, m.offset, m.timestamp, m.key, m.value, Buffer.from(m.headers[0].h).toString());
    }
  }
  await close(c);
}

async function member(want) {
  const c = await consumer('group');
  c.subscribe([topic]);
  const got = [];
  while (got.length < want) {
    for (const m of await call((cb) => c.consume(Math.min(50, want - got.length), cb))) got.push(`${m.partition} ${m.offset}`);
  }
  c.commitSync();
  await close(c);
  return got;
}

async function rewind() {
  const c = await consumer('none');
  const { partition, offset, timestamp } = story.half();
  c.assign([{ topic, partition, offset: 0 }]);
  await one(c);
  await call((cb) => c.seek({ topic, partition, offset: 5 }, 10000, cb));
  story.check((await one(c)).offset === 5, 'after seek');
  story.step('offset');
  const [found] = await call((cb) => c.offsetsForTimes([{ topic, partition, offset: timestamp }], 30000, cb));
  story.check(found.offset === offset, 'by timestamp:', found, 'want', offset);
  await call((cb) => c.seek({ topic, partition, offset }, 10000, cb));
  story.check((await one(c)).offset === offset, 'after the timestamp');
  await close(c);
  story.step('timestamp');
}

async function share() {
  const members = [await consumer('shared'), await consumer('shared')];
  for (const c of members) c.subscribe([topic]);
  const owned = async (c) => {
    await call((cb) => c.consume(10, cb));
    return c.assignments().length;
  };
  await story.until(async () => {
    const [m, n] = await Promise.all(members.map(owned));
    return m > 0 && n > 0 && m + n === story.partitions;
  });
  await close(members[1]);
  await story.until(async () => (await owned(members[0])) === story.partitions);
  await close(members[0]);
  story.step('share');
}

async function main() {
  await produce();
  await readAll('out', topic);
  await readAll('in', `${topic}-in`);
  story.step('consume');
  const first = await member(Math.floor(count / 2));
  story.resumed(first, await member(count - first.length));
  story.step('group');
  await rewind();
  await share();
  console.log('done', require('node-rdkafka/package.json').version, 'librdkafka', rdkafka.librdkafkaVersion);
  process.exit(0);
}

main().catch((err) => story.fail(err));
