/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* request_tell.h - a request is over: it is told once, whoever wants to. */
#ifndef BPFNET_REQUEST_TELL_H
#define BPFNET_REQUEST_TELL_H

#include "request.h"

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

#endif
