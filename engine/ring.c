/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <bpf/bpf.h>
#include "ring.h"
#include "util.h"

#define GAP_NS      (20 * NSEC_PER_MSEC)
#define FULL_GAP_NS (1 * NSEC_PER_MSEC)
#define FULL_BYTES  (256 * 1024)

/* struct wakeup of bpf/probe.h */
struct wakeup {
	uint64_t last_ns;
	uint64_t gap_ns;
	uint64_t full_gap_ns;
	uint64_t full_bytes;
};

struct ring {
	int fd;
	int wakeups_fd;
	uint64_t size;
	size_t page;
	uint64_t *consumer_pos; /* own page, writable */
	uint64_t *producer_pos; /* page before the data, read-only */
	uint8_t *data; /* mapped twice in a row, so that no record is cut */
	volatile struct wakeup *wakeups;
	bool reading;
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
	p = mmap(NULL, r->page + 2 * r->size, PROT_READ, MAP_SHARED, r->fd, (off_t)r->page);
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
	r->fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "events", 0, 0, (uint32_t)r->size, NULL);
	if (r->fd < 0)
		rc = err_sys(err, -errno, "can't create a ring of %llu bytes",
			     (unsigned long long)r->size);
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
		munmap(r->producer_pos, r->page + 2 * r->size);
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
	r->wakeups->gap_ns = low_latency ? 0 : GAP_NS;
	r->wakeups->full_gap_ns = low_latency ? 0 : FULL_GAP_NS;
	r->wakeups->full_bytes = r->size / 2 < FULL_BYTES ? r->size / 2 : FULL_BYTES;
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

static const struct record *next_record(const struct ring *r, uint64_t pos, uint32_t *len)
{
	const struct record *rec = (const void *)(r->data + (pos & (r->size - 1)));

	if (pos >= __atomic_load_n(r->producer_pos, __ATOMIC_ACQUIRE))
		return NULL;
	*len = __atomic_load_n(&rec->len, __ATOMIC_ACQUIRE);
	return *len & BPF_RINGBUF_BUSY_BIT ? NULL : rec;
}

int ring_consume(struct ring *r, int max, ring_fn fn, void *arg)
{
	uint64_t pos = *r->consumer_pos;
	const struct record *rec;
	uint32_t len;
	int n = 0;

	/* From inside fn: that round goes on with the rest, and holds a record that is in use. */
	if (r->reading)
		return 0;
	r->reading = true;
	while (n < max && (rec = next_record(r, pos, &len))) {
		uint32_t size = len & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		const struct event_hdr *hdr = (const void *)rec->data;

		pos += (size + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
		if (!(len & BPF_RINGBUF_DISCARD_BIT) && size >= sizeof(*hdr))
			fn(arg, hdr->probe, hdr + 1, size - sizeof(*hdr));
		/* after fn, which reads the record where it lies */
		__atomic_store_n(r->consumer_pos, pos, __ATOMIC_SEQ_CST);
		n++;
	}
	r->reading = false;
	return n;
}

bool ring_is_quiet(const struct ring *r)
{
	/* Twice the gap: an event that took its time stamp just inside it may come a bit later. */
	return *r->consumer_pos == __atomic_load_n(r->producer_pos, __ATOMIC_ACQUIRE) &&
	       now_ns() - r->wakeups->last_ns > 2 * r->wakeups->gap_ns;
}

uint64_t ring_tick_ns(const struct ring *r)
{
	(void)r;
	return GAP_NS;
}
