/* SPDX-License-Identifier: Apache-2.0
 *
 * The null broker in C: what null.go does, for the requests that the benchmarks'
 * generator sends and no others (Produce v9 with one partition, Fetch v12 of one
 * topic). What lies between the two is Go's share. A thread a connection.
 *
 * usage: null-c PORT DIR
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAXPARTS = 16384, MAXFRAME = 100 << 20, BUFFER = 256 << 10 };

/* CRC-32C, reflected. Three streams at a time where the CPU has an instruction
 * for it: one alone waits two cycles of three. */
static uint32_t table[256], shift1[4][256], shift2[4][256];
enum { STRIPE = 1024 };

static uint32_t crc_byte(uint32_t c, uint8_t b) { return (c >> 8) ^ table[(c ^ b) & 0xff]; }

/* shifts fills tables that move a CRC over n zero bytes. */
static void shifts(uint32_t t[4][256], int n) {
	uint32_t one[32];
	for (int bit = 0; bit < 32; bit++) {
		uint32_t c = 1u << bit;
		for (int i = 0; i < n; i++) c = crc_byte(c, 0);
		one[bit] = c;
	}
	for (int k = 0; k < 4; k++)
		for (int v = 0; v < 256; v++) {
			uint32_t c = 0;
			for (int bit = 0; bit < 8; bit++)
				if (v >> bit & 1) c ^= one[k * 8 + bit];
			t[k][v] = c;
		}
}

static void crc_init(void) {
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0x82f63b78u : c >> 1;
		table[i] = c;
	}
	shifts(shift1, STRIPE);
	shifts(shift2, 2 * STRIPE);
}

#ifdef __SSE4_2__
static uint32_t moved(uint32_t t[4][256], uint32_t c) {
	return t[0][c & 0xff] ^ t[1][c >> 8 & 0xff] ^ t[2][c >> 16 & 0xff] ^ t[3][c >> 24];
}

static uint32_t crc32c(const uint8_t *p, size_t n) {
	uint64_t a = 0xffffffff, b, c, w;
	for (; n >= 3 * STRIPE; p += 3 * STRIPE, n -= 3 * STRIPE) {
		b = c = 0;
		for (size_t i = 0; i < STRIPE; i += 8) {
			memcpy(&w, p + i, 8);
			a = __builtin_ia32_crc32di(a, w);
			memcpy(&w, p + STRIPE + i, 8);
			b = __builtin_ia32_crc32di(b, w);
			memcpy(&w, p + 2 * STRIPE + i, 8);
			c = __builtin_ia32_crc32di(c, w);
		}
		a = moved(shift2, a) ^ moved(shift1, b) ^ c;
	}
	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&w, p, 8);
		a = __builtin_ia32_crc32di(a, w);
	}
	uint32_t r = a;
	while (n--) r = crc_byte(r, *p++);
	return ~r;
}
#else
static uint32_t crc32c(const uint8_t *p, size_t n) {
	uint32_t r = 0xffffffff;
	while (n--) r = crc_byte(r, *p++);
	return ~r;
}
#endif

/* A partition: a file that has no name any more, batches of one size. */
struct part {
	pthread_mutex_t mu;
	pthread_cond_t grown;
	int fd;
	int64_t written, batch, records;
};

static pthread_mutex_t topics = PTHREAD_MUTEX_INITIALIZER;
static char topic[256];
static size_t topic_len;
static struct part *parts[MAXPARTS];
static const char *dir;

/* part finds or makes a partition; a new topic's name ends the one before. */
static struct part *part(const uint8_t *name, size_t len, uint32_t index) {
	struct part *p = NULL;
	if (index >= MAXPARTS || len >= sizeof topic) return NULL;
	pthread_mutex_lock(&topics);
	if (len != topic_len || memcmp(topic, name, len) != 0) {
		for (int i = 0; i < MAXPARTS; i++)
			if (parts[i]) {
				close(parts[i]->fd); /* of a measurement that is over; its few bytes are left to who still holds it */
				parts[i] = NULL;
			}
		memcpy(topic, name, len);
		topic_len = len;
	}
	if (!(p = parts[index]) && (p = calloc(1, sizeof *p))) {
		char path[4096];
		snprintf(path, sizeof path, "%s/nullXXXXXX", dir);
		pthread_mutex_init(&p->mu, NULL);
		pthread_cond_init(&p->grown, NULL);
		if ((p->fd = mkstemp(path)) >= 0) unlink(path);
		parts[index] = p;
	}
	pthread_mutex_unlock(&topics);
	return p && p->fd >= 0 ? p : NULL;
}

/* What is left to read of a frame; bad sticks. */
struct in {
	const uint8_t *p, *end;
	int bad;
};

static const uint8_t *take(struct in *in, size_t n) {
	if (in->bad || (size_t)(in->end - in->p) < n) {
		in->bad = 1;
		return NULL;
	}
	in->p += n;
	return in->p - n;
}

static uint64_t be(const uint8_t *p, int n) {
	uint64_t v = 0;
	while (p && n--) v = v << 8 | *p++;
	return v;
}

static void put(uint8_t *p, uint64_t v, int n) {
	while (n--) {
		p[n] = v;
		v >>= 8;
	}
}

static uint64_t fixed(struct in *in, int n) { return be(take(in, n), n); }

static uint64_t varint(struct in *in) {
	uint64_t v = 0;
	for (int s = 0; s < 35; s += 7) {
		const uint8_t *b = take(in, 1);
		if (!b) return 0;
		v |= (uint64_t)(*b & 0x7f) << s;
		if (*b < 0x80) return v;
	}
	in->bad = 1;
	return 0;
}

/* count is a compact length: 0 for null, else one less than what stands there. */
static uint64_t count(struct in *in) {
	uint64_t v = varint(in);
	return v ? v - 1 : 0;
}

static uint8_t *put_varint(uint8_t *p, uint64_t v) {
	for (; v >= 0x80; v >>= 7) *p++ = v | 0x80;
	*p++ = v;
	return p;
}

static int send_all(int c, const uint8_t *p, size_t n, int flags) {
	while (n) {
		ssize_t k = send(c, p, n, flags | MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR) continue;
		if (k < 0) return -1;
		p += k;
		n -= k;
	}
	return 0;
}

/* append checks, stamps and writes one batch; it returns its base offset or -1. */
static int64_t append(struct part *p, uint8_t *b, size_t n) {
	if (n < 61 || crc32c(b + 21, n - 21) != be(b + 17, 4)) return -1;
	pthread_mutex_lock(&p->mu);
	if (!p->batch) {
		p->records = be(b + 57, 4);
		p->batch = n;
	}
	int64_t base = p->written / p->batch * p->records;
	put(b, base, 8);
	if (pwrite(p->fd, b, n, p->written) != (ssize_t)n)
		base = -1;
	else
		p->written += n;
	pthread_cond_broadcast(&p->grown);
	pthread_mutex_unlock(&p->mu);
	return base;
}

/* produce answers v9: id, topic, its partition, and nothing else. */
static int produce(int c, struct in *in, uint32_t id) {
	take(in, count(in)); /* transactional id */
	fixed(in, 2);
	fixed(in, 4);
	if (count(in) != 1) return -1;
	uint64_t len = count(in);
	const uint8_t *name = take(in, len);
	if (!name || len > 250 || count(in) != 1) return -1;
	uint32_t index = fixed(in, 4);
	uint64_t n = count(in);
	uint8_t *batch = (uint8_t *)take(in, n);
	struct part *p = batch ? part(name, len, index) : NULL;
	int64_t base = p ? append(p, batch, n) : -1;
	if (base < 0) return -1;
	uint8_t out[512], *o = out + 4;
	put(o, id, 4);
	o[4] = 0;           /* tags */
	o = put_varint(o + 5, 2);
	o = put_varint(o, len + 1);
	memcpy(o, name, len);
	o = put_varint(o + len, 2);
	put(o, index, 4);
	put(o + 4, 0, 2);
	put(o + 6, base, 8);
	put(o + 14, -1, 8); /* append time */
	put(o + 22, 0, 8);  /* log start */
	memset(o + 30, 0, 9);
	o[30] = 1;          /* no record errors; no message: 0; tags of partition, topic: 0; throttle 4; tags */
	o += 30 + 1 + 1 + 1 + 1 + 4 + 1;
	put(out, o - out - 4, 4);
	return send_all(c, out, o - out, 0);
}

/* span is what one partition of a fetch answers. */
struct span {
	struct part *p;
	uint32_t index, most;
	int64_t from, off, size, high;
};

static int64_t locate(struct span *s, int n, int64_t left) {
	int64_t total = 0;
	for (int i = 0; i < n; i++) {
		struct span *x = &s[i];
		x->off = x->size = x->high = 0;
		pthread_mutex_lock(&x->p->mu);
		if (x->p->batch) {
			x->off = x->from / x->p->records * x->p->batch;
			x->size = x->p->written - x->off;
			x->high = x->p->written / x->p->batch * x->p->records;
		}
		pthread_mutex_unlock(&x->p->mu);
		if (x->size < 0) x->size = 0;
		if (x->size > x->most) x->size = x->most;
		if (x->size > left) x->size = left;
		left -= x->size;
		total += x->size;
	}
	return total;
}

static void await(struct span *s, uint32_t ms) {
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	if ((until.tv_nsec += ms % 1000 * 1000000L) >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&s->p->mu);
	while (!s->p->batch || s->p->written <= s->from / s->p->records * s->p->batch)
		if (pthread_cond_timedwait(&s->p->grown, &s->p->mu, &until)) break;
	pthread_mutex_unlock(&s->p->mu);
}

/* fetch_answer sends heads with MSG_MORE and records by sendfile. */
static int fetch_answer(int c, uint32_t id, const uint8_t *name, size_t len, struct span *s, int n, int64_t total) {
	uint8_t *out = malloc(600 + (size_t)n * 64), *o = out + 4, *from = out;
	size_t *cut = malloc(sizeof *cut * (n + 1));
	int failed = -1;
	if (!out || !cut) goto done;
	put(o, id, 4);
	memset(o + 4, 0, 1 + 4 + 2 + 4);
	o = put_varint(o + 4 + 1 + 4 + 2 + 4, 2); /* tags, throttle, code, session; one topic */
	o = put_varint(o, len + 1);
	memcpy(o, name, len);
	o = put_varint(o + len, n + 1);
	for (int i = 0; i < n; i++) {
		if (i) *o++ = 0; /* the tags of the one before */
		put(o, s[i].index, 4);
		put(o + 4, 0, 2);
		put(o + 6, s[i].high, 8);
		put(o + 14, s[i].high, 8);
		put(o + 22, 0, 8);
		o[30] = 0; /* no aborted transactions */
		put(o + 31, -1, 4);
		o = put_varint(o + 35, s[i].size + 1);
		cut[i] = o - out;
	}
	memset(o, 0, 3); /* tags of the last partition, the topic, the answer */
	o += n ? 3 : 2;
	cut[n] = o - out;
	put(out, cut[n] - 4 + total, 4);
	for (int i = 0; i < n; i++) {
		off_t off = s[i].off;
		size_t left = s[i].size;
		if (send_all(c, from, out + cut[i] - from, MSG_MORE)) goto done;
		from = out + cut[i];
		while (left) {
			ssize_t k = sendfile(c, s[i].p->fd, &off, left);
			if (k < 0 && errno == EINTR) continue;
			if (k <= 0) goto done;
			left -= k;
		}
	}
	failed = send_all(c, from, out + cut[n] - from, 0);
done:
	free(out);
	free(cut);
	return failed;
}

static int fetch(int c, struct in *in, uint32_t id) {
	fixed(in, 4); /* replica */
	uint32_t wait = fixed(in, 4);
	fixed(in, 4); /* least bytes: 1 */
	int64_t most = (int32_t)fixed(in, 4);
	fixed(in, 1 + 4);
	fixed(in, 4);
	uint64_t n = count(in);
	if (in->bad || n != 1) return -1;
	uint64_t len = count(in);
	const uint8_t *name = take(in, len);
	if (!name || len > 250 || (n = count(in)) == 0 || n > MAXPARTS) return -1;
	struct span *s = calloc(n, sizeof *s);
	if (!s) return -1;
	int failed = -1;
	for (uint64_t i = 0; i < n; i++) {
		s[i].index = fixed(in, 4);
		fixed(in, 4); /* epoch */
		s[i].from = fixed(in, 8);
		fixed(in, 4 + 8); /* last fetched epoch, log start */
		s[i].most = fixed(in, 4);
		take(in, count(in)); /* tags: none */
		if (in->bad || !(s[i].p = part(name, len, s[i].index))) goto done;
	}
	int64_t total = locate(s, n, most);
	if (!total) { /* of several partitions the first is waited for, as in null.go */
		await(s, wait);
		total = locate(s, n, most);
	}
	failed = fetch_answer(c, id, name, len, s, n, total);
done:
	free(s);
	return failed;
}

static int serve_one(int c, uint8_t *frame, size_t n) {
	struct in in = {frame, frame + n, 0};
	uint32_t key = fixed(&in, 2), version = fixed(&in, 2), id = fixed(&in, 4);
	int16_t len = fixed(&in, 2);
	if (len > 0) take(&in, len);
	varint(&in); /* tags: none */
	if (in.bad) return -1;
	if (key == 0 && version == 9) return produce(c, &in, id);
	if (key == 1 && version == 12) return fetch(c, &in, id);
	return -1;
}

static void *connection(void *arg) {
	int c = (int)(intptr_t)arg, one = 1;
	size_t room = BUFFER, have = 0, at = 0;
	uint8_t *b = malloc(room);
	setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	while (b) {
		size_t need = 4;
		if (have - at >= 4) need += be(b + at, 4);
		if (need > MAXFRAME) break;
		if (have - at >= need && need > 4) {
			if (serve_one(c, b + at + 4, need - 4)) break;
			at += need;
			continue;
		}
		memmove(b, b + at, have - at);
		have -= at;
		at = 0;
		if (need > room && !(b = realloc(b, room = need))) break;
		ssize_t k = recv(c, b + have, room - have, 0);
		if (k < 0 && errno == EINTR) continue;
		if (k <= 0) break;
		have += k;
	}
	free(b);
	close(c);
	return NULL;
}

int main(int argc, char **argv) {
	if (argc != 3) {
		fprintf(stderr, "usage: null-c PORT DIR\n");
		return 2;
	}
	dir = argv[2];
	crc_init();
	int ln = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	setsockopt(ln, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (ln < 0 || bind(ln, (struct sockaddr *)&a, sizeof a) || listen(ln, 4096)) {
		perror("null-c");
		return 1;
	}
	pthread_attr_t small;
	pthread_attr_init(&small);
	pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&small, 128 << 10);
	for (;;) {
		pthread_t t;
		int c = accept(ln, NULL, NULL);
		if (c >= 0 && pthread_create(&t, &small, connection, (void *)(intptr_t)c)) close(c);
	}
}
