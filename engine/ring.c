/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <bpf/bpf.h>
#include "ring.h"
#include "util.h"

#define GAP_NS      (20 * NSEC_PER_MSEC)
#define FULL_GAP_NS (1 * NSEC_PER_MSEC)
#define LOOK_NS     (1 * NSEC_PER_MSEC) /* the shortest time between two looks */
#define LOOK_BYTES  (512 * 1024) /* what shall wait at most at the next one */
#define TAIL        (64 * 1024)

/* struct wakeup of bpf/probe.h */
struct wakeup {
	uint64_t until_ns;
	uint64_t gap_ns;
	uint64_t full_bytes;
	uint64_t full_gap_ns;
	uint64_t zero[4];
	uint64_t full_ns;
	uint64_t zero2[7];
};

struct ring {
	int fd;
	int wakeups_fd;
	uint64_t size;
	size_t page;
	uint64_t *consumer_pos; /* own page, writable */
	uint64_t *producer_pos; /* page before the data, read-only */
	uint8_t *data;
	/* Mapped once more behind the data, so that no record is cut: not all, for it counts as memory. */
	size_t tail;
	uint64_t pos; /* read so far; stored in consumer_pos when `batch` bytes have been */
	uint64_t stored;
	uint64_t batch;
	volatile struct wakeup *wakeups;
	bool reading;
	bool enough;
	bool low_latency;
	/* Looking by itself: */
	uint64_t look_ns; /* the last look that found an end */
	uint64_t look_pos;
};

static uint64_t round_size(uint64_t size, uint64_t page)
{
	uint64_t n = page;

	while (n < size && n < 1ULL << 31)
		n <<= 1;
	return n;
}

static int map_pages(struct ring *r, struct err *err)
{
	void *p;

	p = mmap(NULL, r->page, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (p == MAP_FAILED)
		return err_sys(err, -errno, "can't map the ring's consumer page");
	r->consumer_pos = p;
	p = mmap(NULL, r->page + r->size + r->tail, PROT_READ, MAP_SHARED, r->fd, (off_t)r->page);
	if (p == MAP_FAILED)
		return err_sys(err, -errno, "can't map the ring of %llu bytes",
			       (unsigned long long)r->size);
	r->producer_pos = p;
	r->data = (uint8_t *)p + r->page;
	return 0;
}

static int make_wakeups(struct ring *r, struct err *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	void *p;

	r->wakeups_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "wakeups", sizeof(uint32_t),
				       sizeof(struct wakeup), 1, &opts);
	if (r->wakeups_fd < 0)
		return err_sys(err, -errno, "can't create the map 'wakeups'");
	p = mmap(NULL, r->page, PROT_READ | PROT_WRITE, MAP_SHARED, r->wakeups_fd, 0);
	if (p == MAP_FAILED)
		return err_sys(err, -errno, "can't map 'wakeups'");
	r->wakeups = p;
	ring_set_low_latency(r, false);
	return 0;
}

/* Who has come so far may use BPF; what the kernel refuses is so much memory. */
static int no_ring(const struct ring *r, int rc, struct err *err)
{
	struct rlimit limit;

	err_sys(err, rc, "can't create a ring of %llu bytes", (unsigned long long)r->size);
	if (rc == -EPERM && !getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur != RLIM_INFINITY)
		err_hint(err,
			 "before 5.11 it counts as locked memory, of which this process may have "
			 "%llu KiB: raise that with ulimit -l; bpfnet doctor says more",
			 (unsigned long long)limit.rlim_cur / 1024);
	return rc;
}

int ring_new(struct ring **out, uint64_t size, struct err *err)
{
	struct ring *r = calloc(1, sizeof(*r));
	int rc;

	*out = NULL;
	if (!r)
		return err_set(err, -ENOMEM, "out of memory");
	r->wakeups_fd = -1;
	r->page = (size_t)sysconf(_SC_PAGESIZE);
	r->size = round_size(size, r->page);
	r->tail = r->size < TAIL ? r->size : TAIL;
	r->batch = r->size / 256;
	r->fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "events", 0, 0, (uint32_t)r->size, NULL);
	if (r->fd < 0)
		rc = no_ring(r, -errno, err);
	else
		rc = map_pages(r, err);
	if (!rc)
		rc = make_wakeups(r, err);
	if (rc) {
		ring_free(r);
		return rc;
	}
	*out = r;
	return 0;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	if (r->consumer_pos)
		munmap(r->consumer_pos, r->page);
	if (r->producer_pos)
		munmap(r->producer_pos, r->page + r->size + r->tail);
	if (r->wakeups)
		munmap((void *)r->wakeups, r->page);
	close_fd(&r->fd);
	close_fd(&r->wakeups_fd);
	free(r);
}

uint64_t ring_size(const struct ring *r)
{
	return r->size;
}

int ring_fd(const struct ring *r)
{
	return r->fd;
}

int ring_wakeups_fd(const struct ring *r)
{
	return r->wakeups_fd;
}

void ring_set_low_latency(struct ring *r, bool low_latency)
{
	r->low_latency = low_latency;
	r->wakeups->until_ns = 0;
	r->wakeups->gap_ns = low_latency ? 0 : GAP_NS;
	r->wakeups->full_gap_ns = FULL_GAP_NS;
	r->wakeups->full_bytes = r->size / 4;
}

/* The kernel's record header: length with two flags, then the page offset (uapi/linux/bpf.h). */
struct record {
	uint32_t len;
	uint32_t pgoff;
	uint8_t data[];
};

struct event_hdr {
	uint32_t probe;
	uint32_t zero;
};

static uint64_t produced(const struct ring *r)
{
	return __atomic_load_n(r->producer_pos, __ATOMIC_ACQUIRE);
}

uint64_t ring_end(const struct ring *r)
{
	return produced(r);
}

bool ring_has_read(const struct ring *r, uint64_t end)
{
	return r->pos >= end;
}

/* The record at r->pos if it is complete. `end`: known to be produced; read again as seldom as can be. */
static const struct record *next_record(const struct ring *r, uint64_t *end, uint32_t *len)
{
	const struct record *rec = (const void *)(r->data + (r->pos & (r->size - 1)));

	if (r->pos >= *end) {
		*end = produced(r);
		if (r->pos >= *end)
			return NULL;
	}
	*len = __atomic_load_n(&rec->len, __ATOMIC_ACQUIRE);
	return *len & BPF_RINGBUF_BUSY_BIT ? NULL : rec;
}

static void store_pos(struct ring *r)
{
	if (r->stored != r->pos)
		__atomic_store_n(r->consumer_pos, r->pos, __ATOMIC_RELEASE);
	r->stored = r->pos;
}

/* r->pos is already behind the record: if fn never returns, the record has been used up. */
static void give(struct ring *r, const struct record *rec, uint32_t len, ring_fn fn, void *arg)
{
	uint32_t size = len & ~BPF_RINGBUF_DISCARD_BIT;
	const struct event_hdr *hdr = (const void *)rec->data;

	r->pos += (size + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
	if (len & BPF_RINGBUF_DISCARD_BIT || size < sizeof(*hdr))
		return;
	size -= sizeof(*hdr);
	/* An event of more than the tail may be cut: it is given as empty, which is never its size. */
	fn(arg, hdr->probe, hdr + 1, size < r->tail - 2 * sizeof(*hdr) ? size : 0);
}

int ring_consume(struct ring *r, int max, ring_fn fn, void *arg)
{
	const struct record *rec;
	uint64_t end = 0;
	uint32_t len;
	int n = 0;

	/* From inside fn: that round goes on with the rest, and holds a record that is in use. */
	if (r->reading)
		return 0;
	r->reading = true;
	r->enough = false;
	while (n < max && !r->enough && (rec = next_record(r, &end, &len))) {
		give(r, rec, len, fn, arg);
		n++;
		/* after fn, which reads the record where it lies */
		if (r->pos - r->stored >= r->batch)
			store_pos(r);
	}
	ring_end_round(r);
	return n;
}

void ring_enough(struct ring *r)
{
	r->enough = true;
}

bool ring_is_reading(const struct ring *r)
{
	return r->reading;
}

void ring_end_round(struct ring *r)
{
	store_pos(r);
	r->reading = false;
}

/* So that about LOOK_BYTES come till then, if it goes on as it went since the last look. */
static uint64_t next_look(const struct ring *r, uint64_t now)
{
	uint64_t bytes = r->pos - r->look_pos, passed = now - r->look_ns;
	uint64_t room = r->size / 8 < LOOK_BYTES ? r->size / 8 : LOOK_BYTES;
	double ns = (double)passed * (double)room / (double)bytes;

	return ns < LOOK_NS ? LOOK_NS : ns < GAP_NS ? (uint64_t)ns : GAP_NS;
}

uint64_t ring_look_again(struct ring *r)
{
	uint64_t now = now_ns(), next;
	bool idle = r->pos == r->look_pos;

	if (r->low_latency || (idle && !r->wakeups->until_ns)) {
		/* In case a program was held up between asking for its wake-up and its place. */
		next = r->pos == produced(r) ? NSEC_PER_SEC : GAP_NS;
	} else if (idle && now - r->look_ns < LOOK_NS) {
		return GAP_NS; /* a wake-up that came with what the last look has found */
	} else if (idle) {
		/* Once more for those that have been told to rely on us. */
		r->wakeups->until_ns = 0;
		next = GAP_NS;
	} else {
		next = next_look(r, now);
		r->wakeups->until_ns = now + next + GAP_NS;
	}
	r->look_ns = now;
	r->look_pos = r->pos;
	return next;
}
