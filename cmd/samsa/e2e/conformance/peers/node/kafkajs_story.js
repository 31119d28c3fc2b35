// SPDX-License-Identifier: Apache-2.0
// kafkajs's part of the common story (see story.js).
'use strict';
const { Kafka, CompressionTypes, CompressionCodecs, Partitioners, logLevel } = require('kafkajs');
const LZ4 = require('kafkajs-lz4');
const snappy = require('kafkajs-snappy');
const zstd = require('@bokuweb/zstd-wasm');
const story = require('./story.js');
const { addr, topic, codec, count } = story;

CompressionCodecs[CompressionTypes.Snappy] = snappy;
CompressionCodecs[CompressionTypes.LZ4] = new LZ4().codec;
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer, 3)),
  decompress: async (buffer) => Buffer.from(zstd.decompress(buffer)),
});
const types = { none: 'None', gzip: 'GZIP', snappy: 'Snappy', lz4: 'LZ4', zstd: 'ZSTD' };
const kafka = new Kafka({ clientId: 'story', brokers: [addr], logLevel: logLevel.ERROR });

async function produce() {
  const admin = kafka.admin();
  await admin.connect();
  story.check(await admin.createTopics({ topics: [{ topic, numPartitions: story.partitions, replicationFactor: 1 }], waitForLeaders: true }), 'createTopics');
  await admin.disconnect();
  story.step('admin');
  const chosen = [];
  const createPartitioner = () => {
    const inner = Partitioners.DefaultPartitioner();
    return (args) => (chosen[Number(args.message.headers.h)] = inner(args));
  };
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, createPartitioner });
  await producer.connect();
  for (let from = 0; from < count; from += 100) {
    const messages = [];
    for (let i = from; i < Math.min(from + 100, count); i++) {
      messages.push({ key: story.key(i), value: story.value(i), headers: { h: String(i) }, timestamp: String(story.stamp(i)) });
    }
    const told = await producer.send({ topic, messages, compression: CompressionTypes[types[codec]] });
    for (const { partition, baseOffset, errorCode } of told) {
      story.check(errorCode === 0, 'produce', errorCode);
      let offset = Number(baseOffset);
      for (let i = from; i < from + messages.length; i++) if (chosen[i] === partition) story.put(partition, offset++, i);
    }
  }
  await producer.disconnect();
  story.check(story.placed.size === count, 'places told:', story.placed.size);
  story.step('produce');
  story.step('idempotent');
}

function consumer(group) {
  return kafka.consumer({ groupId: `${topic}-${group}`, heartbeatInterval: 300, sessionTimeout: 6000, maxWaitTimeInMs: 200 });
}

// read gives each record of a topic to a group's member until it has had enough, and commits those.
async function read(group, from, want, each) {
  const c = consumer(group);
  await c.connect();
  await c.subscribe({ topics: [from], fromBeginning: true });
  const got = [];
  const next = new Map();
  let committed;
  const done = new Promise((resolve) => (committed = resolve));
  await c.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      if (got.length === want) return;
      got.push(`${partition} ${message.offset}`);
      next.set(partition, Number(message.offset) + 1);
      each(partition, message);
      if (got.length === want) {
        await c.commitOffsets([...next].map(([p, offset]) => ({ topic: from, partition: p, offset: String(offset) })));
        committed();
      }
    },
  });
  await done;
  await c.disconnect();
  return got;
}

const printer = (kind) => (partition, m) => story.record(kind, partition, m.offset, m.timestamp, m.key, m.value, m.headers.h.toString());

async function rewind() {
  const c = consumer('rewind');
  await c.connect();
  await c.subscribe({ topics: [topic], fromBeginning: true });
  const { partition, offset, timestamp } = story.half();
  let wanted = -1;
  let seen = false;
  await c.run({ autoCommit: false, eachMessage: async (m) => { if (m.partition === partition && Number(m.message.offset) === wanted) seen = true; } });
  const seek = async (to) => {
    [wanted, seen] = [to, false];
    c.seek({ topic, partition, offset: String(to) });
    await story.until(() => seen);
  };
  await seek(5);
  story.step('offset');
  const admin = kafka.admin();
  await admin.connect();
  const found = (await admin.fetchTopicOffsetsByTimestamp(topic, timestamp)).find((f) => f.partition === partition);
  await admin.disconnect();
  story.check(Number(found.offset) === offset, 'by timestamp:', found, 'want', offset);
  await seek(offset);
  story.step('timestamp');
  await c.disconnect();
}

async function share() {
  const member = async () => {
    const c = consumer('shared');
    const m = { c, owned: 0 };
    c.on(c.events.GROUP_JOIN, (e) => (m.owned = (e.payload.memberAssignment[topic] || []).length));
    await c.connect();
    await c.subscribe({ topics: [topic] });
    await c.run({ eachMessage: async () => {} });
    return m;
  };
  const [a, b] = await Promise.all([member(), member()]);
  await story.until(() => a.owned > 0 && b.owned > 0 && a.owned + b.owned === story.partitions);
  await b.c.disconnect();
  await story.until(() => a.owned === story.partitions);
  await a.c.disconnect();
  story.step('share');
}

async function main() {
  await zstd.init();
  await produce();
  await read('out', topic, count, printer('out'));
  await read('in', `${topic}-in`, count, printer('in'));
  story.step('consume');
  const first = await read('group', topic, Math.floor(count / 2), () => {});
  story.resumed(first, await read('group', topic, count - first.length, () => {}));
  story.step('group');
  await rewind();
  await share();
  console.log('done', require('kafkajs/package.json').version);
}

main().catch((err) => story.fail(err));
