/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * request_turn.h - the turns that a connection takes: from bytes that were sent and read to requests.
 *
 * The event of the request that is open lies in the connection's entry of `requests`, and is filled
 * bit by bit. All of this runs in process context, in the task that sends or reads, but for the end of the
 * connection and the sweep.
 */
#ifndef BPFNET_REQUEST_TURN_H
#define BPFNET_REQUEST_TURN_H

#include "request_tell.h"

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
