// SPDX-License-Identifier: Apache-2.0

//! rdkafka's part of the common story.
//!
//! Called as PROGRAM BOOTSTRAP TOPIC CODEC COUNT. It prints "step NAME" for what it has shown, one line for every record that it read
//! from TOPIC ("out") and from TOPIC-in ("in"), which another client filled, and "done VERSION".

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};
use sha2::{Digest, Sha256};

const PARTITIONS: i32 = 3;
const FIRST_STAMP: i64 = 1700000000000;

type Place = (i32, i64);
type Placed = HashMap<Place, usize>;

struct Story {
    addr: String,
    topic: String,
    codec: String,
    count: usize,
    deadline: Instant,
}

/// Delivered notes where each record was put.
#[derive(Clone)]
struct Delivered(Arc<Mutex<Placed>>);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, i: Box<usize>) {
        let m = result.as_ref().unwrap_or_else(|(err, _)| fail(&format!("record {i}: {err}")));
        self.0.lock().unwrap().insert((m.partition(), m.offset()), *i);
    }
}

fn fail(what: &str) -> ! {
    eprintln!("FAILED: {what}");
    std::process::exit(1)
}

fn check(condition: bool, what: &str) {
    if !condition {
        fail(what)
    }
}

fn key(i: usize) -> String {
    format!("key-{}", i % 17)
}

fn stamp(i: usize) -> i64 {
    FIRST_STAMP + i as i64
}

fn place(m: &BorrowedMessage) -> Place {
    (m.partition(), m.offset())
}

impl Story {
    fn value(&self, i: usize) -> String {
        format!("{} {} ", self.codec, i).repeat(20 + i % 30)
    }

    fn config(&self) -> ClientConfig {
        let mut c = ClientConfig::new();
        c.set("bootstrap.servers", &self.addr);
        c
    }

    fn produce(&self) -> Placed {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let topic = NewTopic::new(&self.topic, PARTITIONS, TopicReplication::Fixed(1));
        for r in futures_executor::block_on(admin.create_topics(&[topic], &AdminOptions::new())).unwrap() {
            r.unwrap_or_else(|(_, err)| fail(&format!("create: {err}")));
        }
        println!("step admin");
        let delivered = Delivered(Arc::new(Mutex::new(Placed::new())));
        let mut config = self.config();
        config.set("enable.idempotence", "true").set("compression.codec", &self.codec).set("linger.ms", "20");
        let producer: BaseProducer<Delivered> = config.create_with_context(delivered.clone()).unwrap();
        for i in 0..self.count {
            let (key, value, h) = (key(i), self.value(i), i.to_string());
            let headers = OwnedHeaders::new().insert(Header { key: "h", value: Some(&h) });
            let record = BaseRecord::with_opaque_to(&self.topic, Box::new(i)).key(&key).payload(&value).timestamp(stamp(i)).headers(headers);
            producer.send(record).unwrap_or_else(|(err, _)| fail(&err.to_string()));
            producer.poll(Duration::ZERO);
        }
        producer.flush(Duration::from_secs(30)).unwrap();
        let placed = delivered.0.lock().unwrap().clone();
        check(placed.len() == self.count, &format!("places told: {}", placed.len()));
        println!("step produce\nstep idempotent");
        placed
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        let mut c = self.config();
        c.set("group.id", format!("{}-{group}", self.topic)).set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
        c.set("check.crcs", "true").set("heartbeat.interval.ms", "300").set("session.timeout.ms", "6000");
        c.create().unwrap()
    }

    /// from is a consumer of some partitions from an offset.
    fn from(&self, topic: &str, partitions: std::ops::Range<i32>, offset: Offset) -> BaseConsumer {
        let c = self.consumer("none");
        let mut list = TopicPartitionList::new();
        for p in partitions {
            list.add_partition_offset(topic, p, offset).unwrap();
        }
        c.assign(&list).unwrap();
        c
    }

    fn one<'a>(&self, c: &'a BaseConsumer) -> BorrowedMessage<'a> {
        loop {
            check(Instant::now() < self.deadline, "too late");
            if let Some(m) = c.poll(Duration::from_millis(500)) {
                return m.unwrap_or_else(|err| fail(&err.to_string()));
            }
        }
    }

    fn read_all(&self, kind: &str, topic: &str, placed: &Placed) {
        let c = self.from(topic, 0..PARTITIONS, Offset::Beginning);
        for _ in 0..self.count {
            let m = self.one(&c);
            let (k, v) = (String::from_utf8_lossy(m.key().unwrap()), m.payload().unwrap());
            let h = m.headers().unwrap().get(0);
            let sum: String = Sha256::digest(v).iter().map(|b| format!("{b:02x}")).collect();
            let (header, time) = (String::from_utf8_lossy(h.value.unwrap()), m.timestamp().to_millis().unwrap());
            println!("{kind} {} {} {time} {k} {sum} {}={header}", m.partition(), m.offset(), h.key);
            if kind == "out" {
                let right = placed.get(&place(&m)).is_some_and(|&i| self.value(i).as_bytes() == v && key(i) == k);
                check(right, &format!("not what was sent: {:?}", place(&m)));
            }
        }
    }

    fn member(&self, want: usize) -> Vec<Place> {
        let c = self.consumer("group");
        c.subscribe(&[&self.topic]).unwrap();
        let mut got = Vec::new();
        while got.len() < want {
            got.push(place(&self.one(&c)));
        }
        c.commit_consumer_state(CommitMode::Sync).unwrap();
        got
    }

    /// group checks that the second member goes on where the first had committed: nothing twice, nothing missing.
    fn group(&self) {
        let first = self.member(self.count / 2);
        let second = self.member(self.count - first.len());
        let all: HashSet<_> = first.iter().chain(&second).collect();
        check(all.len() == self.count, &format!("read {} and {}, places: {}", first.len(), second.len(), all.len()));
        println!("step group");
    }

    fn rewind(&self, placed: &Placed) {
        let p = placed.keys().map(|at| at.0).min().unwrap();
        let c = self.from(&self.topic, p..p + 1, Offset::Beginning);
        self.one(&c);
        c.seek(&self.topic, p, Offset::Offset(5), Duration::from_secs(10)).unwrap();
        check(self.one(&c).offset() == 5, "after seek");
        println!("step offset");
        let want = placed.iter().filter(|(at, &i)| at.0 == p && i >= self.count / 2).map(|(at, _)| at.1).min().unwrap();
        let mut times = TopicPartitionList::new();
        times.add_partition_offset(&self.topic, p, Offset::Offset(stamp(self.count / 2))).unwrap();
        let found = c.offsets_for_times(times, Duration::from_secs(30)).unwrap().elements()[0].offset();
        check(found == Offset::Offset(want), &format!("by timestamp: {found:?}, want {want}"));
        c.seek(&self.topic, p, found, Duration::from_secs(10)).unwrap();
        check(self.one(&c).offset() == want, "after the timestamp");
        println!("step timestamp");
    }

    fn share(&self) {
        let owned = |c: &BaseConsumer| {
            check(Instant::now() < self.deadline, "too late: shares");
            c.poll(Duration::from_millis(50));
            c.assignment().unwrap().count() as i32
        };
        let (a, b) = (self.consumer("shared"), self.consumer("shared"));
        a.subscribe(&[&self.topic]).unwrap();
        b.subscribe(&[&self.topic]).unwrap();
        loop {
            let (m, n) = (owned(&a), owned(&b));
            if m > 0 && n > 0 && m + n == PARTITIONS {
                break;
            }
        }
        drop(b);
        while owned(&a) != PARTITIONS {}
        println!("step share");
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let s = Story {
        addr: args[1].clone(),
        topic: args[2].clone(),
        codec: args[3].clone(),
        count: args[4].parse().unwrap(),
        deadline: Instant::now() + Duration::from_secs(100),
    };
    let placed = s.produce();
    s.read_all("out", &s.topic, &placed);
    s.read_all("in", &format!("{}-in", s.topic), &placed);
    println!("step consume");
    s.group();
    s.rewind(&placed);
    s.share();
    println!("done 0.39.0 librdkafka {}", rdkafka::util::get_rdkafka_version().1);
}
