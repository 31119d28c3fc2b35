// SPDX-License-Identifier: Apache-2.0
// What the Node clients' programs share: the arguments, the records, the lines that the Go test reads.
//
// Each program is called as PROGRAM BOOTSTRAP TOPIC CODEC COUNT. It prints "step NAME" for what it has shown, one line for every
// record that it read from TOPIC ("out") and from TOPIC-in ("in"), which another client filled, and "done VERSION".
'use strict';
const crypto = require('crypto');

const [addr, topic, codec, countText] = process.argv.slice(2);
const count = Number(countText);
const firstStamp = 1700000000000;
setTimeout(() => fail('too late'), 100000).unref();

function fail(...what) {
  console.error('FAILED:', ...what);
  process.exit(1);
}

function check(condition, ...what) {
  if (!condition) fail(...what);
}

const key = (i) => `key-${i % 17}`;
const value = (i) => `${codec} ${i} `.repeat(20 + (i % 30));
const stamp = (i) => firstStamp + i;
const step = (name) => console.log('step', name);

// placed are the places that a producer was told, "partition offset", with the record's number.
const placed = new Map();

function put(partition, offset, i) {
  placed.set(`${partition} ${offset}`, i);
}

// record prints a record that was read; one of the program's own must be what it sent.
function record(kind, partition, offset, timestamp, k, v, header) {
  console.log(kind, partition, offset, timestamp, k.toString(), crypto.createHash('sha256').update(v).digest('hex'), `h=${header}`);
  if (kind === 'out') {
    const i = placed.get(`${partition} ${offset}`);
    check(i !== undefined && v.toString() === value(i) && k.toString() === key(i), 'not what was sent:', partition, offset);
  }
}

// resumed checks that the second member of a group went on where the first had committed: nothing twice, nothing missing.
function resumed(first, second) {
  const all = new Set([...first, ...second]);
  check(first.length > 0 && first.length < count, 'the first member read', first.length, 'of', count);
  check(all.size === count && first.length + second.length === count, 'read', first.length, 'and', second.length, 'of', count, 'places:', all.size);
}

// half is a partition with records, the timestamp in the middle, and the first offset of the partition at it or behind.
function half() {
  const places = [...placed].map(([place, i]) => [...place.split(' ').map(Number), i]);
  const partition = Math.min(...places.map(([p]) => p));
  const offset = Math.min(...places.filter(([p, , i]) => p === partition && i >= count / 2).map(([, o]) => o));
  return { partition, offset, timestamp: stamp(count / 2) };
}

// until polls a condition.
async function until(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

module.exports = { addr, topic, codec, count, partitions: 3, fail, check, key, value, stamp, step, placed, put, record, resumed, half, until };
