# SPDX-License-Identifier: Apache-2.0
"""What the Python clients' programs share: the arguments, the records, the lines that the Go test reads.

Each program is called as PROGRAM BOOTSTRAP TOPIC CODEC COUNT. It prints "step NAME" for what it has shown, one line for every
record that it read from TOPIC ("out") and from TOPIC-in ("in"), which another client filled, and "done VERSION".
"""
import hashlib
import sys
import time

ADDR, TOPIC, CODEC, COUNT = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
PARTITIONS = 3
FIRST_STAMP = 1700000000000
DEADLINE = time.monotonic() + 100


def key(i):
    return b"key-%d" % (i % 17)


def value(i):
    return b"%s %d " % (CODEC.encode(), i) * (20 + i % 30)


def stamp(i):
    return FIRST_STAMP + i


def step(name):
    print("step", name, flush=True)


def record(kind, partition, offset, timestamp, key, value, headers):
    shown = ",".join("%s=%s" % (k, v.decode()) for k, v in headers or []) or "-"
    print(kind, partition, offset, timestamp, key.decode(), hashlib.sha256(value).hexdigest(), shown)


def check(condition, *what):
    if not condition:
        raise SystemExit("FAILED: %s" % " ".join(str(w) for w in what))


def in_time(*what):
    check(time.monotonic() < DEADLINE, "too late:", *what)


def resumed(first, second):
    """The second member of a group went on where the first had committed: places nothing twice, nothing missing."""
    check(0 < len(first) < COUNT, "the first member read", len(first), "of", COUNT)
    check(len(set(first + second)) == len(first) + len(second) == COUNT, "read", len(first), "and", len(second), "of", COUNT, "places:",
          len(set(first + second)))
