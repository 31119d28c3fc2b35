# SPDX-License-Identifier: Apache-2.0
"""kafka-python with each of its codecs, with keys, headers and timestamps."""
import sys

from kafka import KafkaConsumer, KafkaProducer

ADDR = sys.argv[1]
for codec in (None, "gzip", "snappy", "lz4", "zstd"):
    topic = "codec-%s" % codec
    producer = KafkaProducer(bootstrap_servers=[ADDR], compression_type=codec, linger_ms=20, acks="all")
    for i in range(500):
        producer.send(topic, key=b"k%d" % i, value=b"value %d " % i * 10, headers=[("h", b"%d" % i)], timestamp_ms=1700000000000 + i)
    producer.flush()
    got = list(KafkaConsumer(topic, bootstrap_servers=[ADDR], auto_offset_reset="earliest", consumer_timeout_ms=3000))
    assert len(got) == 500, (codec, len(got))
    for i, m in enumerate(got):
        assert (m.offset, m.key, m.value, m.timestamp) == (i, b"k%d" % i, b"value %d " % i * 10, 1700000000000 + i), m
        assert m.headers == [("h", b"%d" % i)], m
    print("ok", codec, flush=True)
