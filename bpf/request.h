/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * request.h - the turns that a connection takes: from bytes that were sent and read to requests.
 *
 * The event of the request that is open lies in the connection's entry of `requests`, and is filled
 * bit by bit. All of this runs in process context, in the task that sends or reads, but for the end of the
 * connection and the sweep.
 */
#ifndef BPFNET_REQUEST_H
#define BPFNET_REQUEST_H

#include "filter.h"
#include "request_sock.h"

enum outcome {
	OUTCOME_ANSWERED,
	OUTCOME_UNANSWERED,
} __attribute__((packed));

enum request_end {
	REQUEST_END_NEXT,
	REQUEST_END_IDLE,
	REQUEST_END_CLOSED,
	REQUEST_END_RESET,
	REQUEST_END_DETACHED,
} __attribute__((packed));

struct tcprequest_event {
	struct conn;
	__u64 start_ns DOC(
		"first byte: handed to the kernel (connect side), read by the process (accept)");
	opt_u64 ttfb_ns DOC(
		"start to the first byte of the response: read, or handed to the kernel");
	__u64 total_ns DOC("start to the last byte of the response; unanswered: to the end");
	__u64 request_ns DOC("first to last byte of the request");
	opt_u64 idle_ns DOC("end of the response before to the start; the first has none");
	opt_u64 unread_ns DOC(
		"how long the first bytes lay unread: of the request (accept), response (connect)");
	__u64 request_bytes DOC("bytes from the connecting side");
	__u64 response_bytes DOC("bytes from the accepting side");
	__u64 via_cookie DOC(
		"the request that this thread had read last, by cookie and nth; 0: none");
	__u32 via_nth DOC("see via_cookie; for requests that the connecting side sends");
	__u32 nth DOC("number on this connection, 1 for the first that was seen");
	__u32 srtt_us DOC("smoothed round-trip time");
	enum side side DOC("connect (sent the request) or accept (read it)");
	enum outcome outcome DOC("answered or unanswered");
	enum request_end
		ended DOC("what told that it was over: next, idle, closed, reset, detached");
	bool old DOC("the connection is older than the tracer");
	bool pipelined DOC("more of the request or another came before the response was complete");
	bool duplex DOC("both sides send at once, again and again: the times mean nothing");
	bool continued DOC("no request: a response that went on after it was told (idle)");
	__u8 zero2[5];
};

PROBE_EVENTS(struct tcprequest_event,
	     "one event per request and response on a TCP connection, at each end");

enum phase {
	PHASE_IDLE,
	PHASE_REQUEST,
	PHASE_RESPONSE,
} __attribute__((packed));

/* A connection. Times are CLOCK_MONOTONIC, 0: there is none. */
struct turns {
	struct tcprequest_event ev; /* of the request that is open, or was the last */
	__u64 told; /* start_ns of the request that was told last: by whom this atomically changed */
	__u64 told_idle; /* the same, if nothing had come for so long */
	__u64 request_bytes; /* of all requests, and how much of that was told */
	__u64 request_told;
	__u64 response_bytes; /* likewise */
	__u64 response_told;
	__u64 last_ns; /* last byte of the response, or of the request as long as there is none */
	__u64 end_ns; /* the same of the response before */
	__u64 arrival_ns; /* of the first bytes that lie unread */
	__u64 sending_ns; /* begin of a send that has not returned */
	__u64 chunk_ns; /* when the newest part of it was handed over, if that is known */
	__u64 sent; /* how far it was counted: SEQ(write_seq) */
	__u32 copied_seq; /* read, likewise */
	__u32 nth;
	enum phase phase;
	bool ready; /* ev's part that is the same for all requests is filled */
	bool may_continue; /* what comes now may belong to the response that was told */
	bool early; /* of the send that has not returned some was counted */
	bool waited; /* it had to wait for room */
	bool over; /* it began while there was something to read */
	bool talked_over; /* that happened in this exchange */
	bool crossed; /* we read what was sent before ours had come */
	__u8 talks_over; /* exchanges like that, ordinary ones counted down */
	__u8 crosses;
	bool duplex;
	bool has_read; /* a read was seen */
	bool fresh; /* nothing was counted yet, so where it stood before is not known */
	__u8 zero[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* address of the struct sock, until tcp_destroy_sock */
	__type(value, struct turns);
} requests SEC(".maps");

/* The request that a thread has begun to read last. */
struct reading {
	__u64 cookie;
	__u64 task_start; /* thread ids are used again */
	__u32 nth;
	__u32 zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct reading);
} readings SEC(".maps");

/* Where there is no atomic exchange, a request is told by whom puts it in here first. Only the newest matter. */
struct claim {
	__u64 sk;
	__u64 start_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct claim);
	__type(value, __u8);
} claims SEC(".maps");

#define DUPLEX_STEP  4 /* an exchange that overlaps counts as much as so many that do not */
#define DUPLEX_AFTER 12 /* three of each kind, with few others between */
#define DUPLEX_MOST  64
#define DUPLEX_NS    1000000000ULL /* then told as one, at most so long */

/*
 * The task, the end of the connection and the sweep may want to tell the same request at the same time, on
 * different CPUs. True for one of them.
 */
static __always_inline bool claim(struct turns *t, __u64 sk)
{
	struct claim key = { sk, t->ev.start_ns };
	__u64 before = t->told;
	__u8 one = 1;

	if (before == key.start_ns)
		return false;
	switch (compare_exchange(&t->told, before, key.start_ns)) {
	case EXCHANGED:
		return true;
	case NOT_EXCHANGED:
		return false;
	case CANT_EXCHANGE:
		break;
	}
	if (bpf_map_update_elem(&claims, &key, &one, BPF_NOEXIST))
		return false;
	t->told = key.start_ns;
	return true;
}

static __always_inline __u64 since(__u64 later, __u64 earlier)
{
	return later > earlier ? later - earlier : 0;
}

static __always_inline void count_exchange(__u8 *score, bool happened)
{
	if (happened && *score < DUPLEX_MOST)
		*score += DUPLEX_STEP;
	else if (!happened && *score)
		(*score)--;
}

/*
 * Two sides that take turns never do either: who answers has read all, and with the answer
 * comes the acknowledgement of all that it answers to. An upload that is answered early does one of them, each end
 * another one; streams in both directions do both, again and again.
 */
static __always_inline void judge_exchange(struct turns *t)
{
	count_exchange(&t->talks_over, t->talked_over);
	count_exchange(&t->crosses, t->crossed);
	if (t->talks_over >= DUPLEX_AFTER && t->crosses >= DUPLEX_AFTER)
		t->duplex = true;
	else if (!t->talked_over && !t->crossed)
		t->duplex = false;
	t->talked_over = t->crossed = false;
}

/* What is known when it is over. last_ns: its last byte. */
static __always_inline void finish(struct tcprequest_event *ev, bool answered, __u64 last_ns,
				   enum request_end ended, __u64 now)
{
	ev->ts_ns = now;
	ev->cpu = bpf_get_smp_processor_id();
	ev->ended = ended;
	ev->outcome = answered ? OUTCOME_ANSWERED : OUTCOME_UNANSWERED;
	ev->total_ns = since(answered ? last_ns : now, ev->start_ns);
}

static __noinline int send(const struct tcprequest_event *ev)
{
	if (!filter_passes((const struct conn *)ev))
		return 0;
	return event_send(ev, sizeof(*ev), ev->ts_ns);
}

/* Several threads may send and read at once: each byte is in one event, if not always in the right one. */
static __always_inline void sum_up(const struct turns *t, struct tcprequest_event *ev)
{
	ev->request_bytes = t->request_bytes - t->request_told;
	ev->response_bytes = t->response_bytes - t->response_told;
}

/* By whom has claimed it: so much is told. */
static __always_inline void is_told(struct turns *t, const struct tcprequest_event *ev)
{
	__sync_fetch_and_add(&t->request_told, ev->request_bytes);
	__sync_fetch_and_add(&t->response_told, ev->response_bytes);
}

/* Behind a request that has been told; the sweep leaves this to who comes next. */
static __always_inline void settle(struct turns *t)
{
	t->end_ns = t->phase == PHASE_RESPONSE ? t->last_ns : t->ev.ts_ns;
	t->may_continue = t->told_idle == t->ev.start_ns;
	t->phase = PHASE_IDLE;
}

/*
 * The request that is open is over. key: the struct sock, of which nothing is read. Where another task was
 * faster, that one goes on from here.
 */
static __always_inline void tell(struct turns *t, __u64 key, enum request_end ended, __u64 now)
{
	if (t->phase == PHASE_IDLE)
		return;
	judge_exchange(t);
	if (claim(t, key)) {
		sum_up(t, &t->ev);
		is_told(t, &t->ev);
		t->ev.duplex = t->duplex;
		finish(&t->ev, t->phase == PHASE_RESPONSE, t->last_ns, ended, now);
		send(&t->ev);
		settle(t);
	} else if (t->told_idle == t->ev.start_ns) {
		settle(t);
	}
}

/* Before anything is done with an entry: the sweep may have told what was open. */
static __always_inline void catch_up(struct turns *t)
{
	if (t->phase == PHASE_IDLE || t->told != t->ev.start_ns || t->told_idle != t->told)
		return;
	judge_exchange(t);
	settle(t);
}

static __always_inline __u64 task_start(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, start_time);
}

/* Threads of the kernel that work for somebody say nothing of him. */
static __always_inline bool is_kernel_thread(void)
{
	enum { PF_KTHREAD = 0x00200000 };
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, flags) & PF_KTHREAD;
}

static __always_inline void owned_by_task(struct turns *t, const struct sock *sk)
{
	struct conn *c = (struct conn *)&t->ev;
	__u64 cookie = c->cookie;

	if (is_kernel_thread())
		conn_owner(c, sock_life(sk));
	else
		conn_owner_current(c, OWNER_TASK);
	c->cookie = cookie;
}

static __always_inline void note_reading(const struct turns *t)
{
	struct reading r = { .cookie = t->ev.cookie, .nth = t->nth }, *old;
	__u32 tid = bpf_get_current_pid_tgid();

	r.task_start = task_start();
	old = bpf_map_lookup_elem(&readings, &tid);
	if (old)
		*old = r; /* this thread's own, which takes less than to replace it */
	else
		bpf_map_update_elem(&readings, &tid, &r, BPF_ANY);
}

static __always_inline void set_via(struct tcprequest_event *ev)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct reading *r = bpf_map_lookup_elem(&readings, &tid);

	if (!r || r->task_start != task_start())
		return;
	ev->via_cookie = r->cookie;
	ev->via_nth = r->nth;
}

static __always_inline void clear_request(struct turns *t, __u64 start_ns)
{
	struct tcprequest_event *ev = &t->ev;

	ev->start_ns = start_ns;
	ev->ttfb_ns = ev->idle_ns = ev->unread_ns = OPT_NONE;
	ev->request_ns = 0;
	ev->via_cookie = ev->via_nth = 0;
	ev->pipelined = ev->continued = false;
	if (t->end_ns)
		ev->idle_ns = since(start_ns, t->end_ns);
}

static __always_inline void begin(struct turns *t, const struct sock *sk, __u64 start_ns)
{
	struct tcprequest_event *ev = &t->ev;

	clear_request(t, start_ns);
	ev->nth = ++t->nth;
	owned_by_task(t, sk);
	if (ev->side == SIDE_ACCEPT)
		note_reading(t);
	else
		set_via(ev);
	t->phase = PHASE_REQUEST;
}

/* More of a response that was told because nothing came for so long. */
static __always_inline void begin_continued(struct turns *t, const struct sock *sk, __u64 start_ns)
{
	clear_request(t, start_ns);
	t->ev.continued = true;
	owned_by_task(t, sk);
	t->phase = PHASE_RESPONSE;
}

/*
 * Bytes towards the accepting side: the first of them was sent, or read, at from_ns, the last at to_ns. over: at
 * that time not all of a response had been read, or sent.
 */
static __always_inline void request_moved(struct turns *t, const struct sock *sk, __u64 bytes,
					  __u64 from_ns, __u64 to_ns, bool over)
{
	struct tcprequest_event *ev = &t->ev;
	bool goes_on = t->duplex && t->phase == PHASE_RESPONSE &&
		       since(from_ns, ev->start_ns) < DUPLEX_NS;

	if (t->phase == PHASE_RESPONSE && !goes_on) {
		ev->pipelined |= over;
		tell(t, (__u64)sk, REQUEST_END_NEXT, to_ns);
	}
	if (t->phase == PHASE_IDLE) {
		begin(t, sk, from_ns);
		ev->pipelined = over;
	}
	__sync_fetch_and_add(&t->request_bytes, bytes);
	ev->request_ns = since(to_ns, ev->start_ns);
	if (t->phase == PHASE_REQUEST)
		t->last_ns = to_ns;
}

/*
 * Bytes towards the connecting side; true if they are the first of a response. Before any request they are a
 * greeting, and nobody's answer.
 */
static __always_inline bool response_moved(struct turns *t, const struct sock *sk, __u64 bytes,
					   __u64 from_ns, __u64 to_ns)
{
	struct tcprequest_event *ev = &t->ev;
	bool first = t->phase == PHASE_REQUEST;

	if (!t->nth)
		return false;
	__sync_fetch_and_add(&t->response_bytes, bytes);
	if (t->phase == PHASE_IDLE) {
		if (!t->may_continue)
			return false; /* another thread is just about to begin a request */
		begin_continued(t, sk, from_ns);
	}
	if (first) {
		ev->ttfb_ns = since(from_ns, ev->start_ns);
		t->phase = PHASE_RESPONSE;
	}
	t->last_ns = to_ns;
	return first;
}

#endif
