/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * probe.h - what makes a BPF object a probe: its event, the shared ring, and the tally.
 *
 * A probe file says PROBE_EVENTS(struct x_event, "what it is about") once, and in its programs
 *
 *	struct x_event ev;
 *	... fill every field ...
 *	return event_send(&ev, sizeof(ev), ts_ns);
 *
 * The engine reads names, types and documentation of the fields from the object's BTF; nothing is
 * written twice. Programs named <what>__<way> are alternatives for the same thing, and those named
 * <what>__<way>__<more> go along with <what>__<way>: one way of each <what> is loaded, the first in
 * the file that works here.
 */
#ifndef BPFNET_PROBE_H
#define BPFNET_PROBE_H

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

/* Text that `bpfnet probes` shows beside a field; kept in BTF as a declaration tag. */
#define DOC(text) __attribute__((btf_decl_tag("doc:" text)))
/* On a program: the fields that an event lacks when this way is the one in use. */
#define LOSES(text) __attribute__((btf_decl_tag("loses:" text)))
/* On a program: the probe works without it where the kernel offers no way to have it. */
#define OPTIONAL __attribute__((btf_decl_tag("optional")))

/* Numbers that may be unknown: all ones, which Lua and JSON see as nil and null. */
typedef __u64 opt_u64;
typedef __u32 opt_u32;
#define OPT_NONE (~0ULL)
/* An errno: its name in Lua and JSON, nil and null for 0. */
typedef __s32 errno_t;

/* Why the kernel dropped a packet (enum skb_drop_reason): its name, nil and null for 0. */
typedef __u32 drop_reason_t;
/* A kernel address: "nf_hook_slow+0x4c", "br_forward+0x10 [bridge]", nil and null for 0. */
typedef __u64 ksym_t;
/*
 * What bpf_get_stackid() gives for the object's map `stacks`, without BPF_F_REUSE_STACKID: frames like
 * ksym_t, innermost first, with ";" between them; nil and null for what is negative.
 */
typedef __s32 kstack_t;
/* Flags of a TCP segment, FIN in the lowest bit: "SYN|ACK", nil and null for 0. */
typedef __u8 tcp_flags_t;
/* "02:42:ac:11:00:02"; nil and null if all of it is zero. */
struct mac_addr {
	__u8 b[6];
};

/* What stands before each event in the ring. */
struct event_hdr {
	__u32 probe; /* the engine's number for this probe */
	__u32 zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* replaced by the engine's ring, which all probes share */
} events SEC(".maps");

/*
 * When to wake the reader; one for all probes on a ring, see wakeup_flags(). The first line changes
 * when the reader looks, which is seldom: programs on all CPUs can keep it in their caches.
 */
struct wakeup {
	__u64 until_ns; /* the reader looks by itself till then; 0: it sleeps */
	__u64 gap_ns; /* for how long that holds after a wake-up; 0: every event wakes it */
	__u64 full_bytes; /* while more than so many wait, it is woken as well, */
	__u64 full_gap_ns; /* at most once in this time */
	__u64 zero[4];
	__u64 full_ns; /* the newest such wake-up */
	__u64 zero2[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct wakeup);
} wakeups SEC(".maps");

/*
 * Events that did not reach the reader, per CPU, in memory that the engine maps. Two tasks can be
 * in one program on one CPU (programs may be preempted since 5.12), so only atomic adds are exact.
 */
enum tally {
	TALLY_DROPPED, /* no room in the ring */
	TALLY_FILTERED, /* by filter or where */
	TALLY_UNTRACKED, /* a table was full, so the owner is unknown */
	TALLY_SAMPLED, /* of a connection that the sample leaves out */
	TALLY_LIMITED, /* above the rate */
	TALLY_AGGREGATED, /* added up and not sent */
	TALLY_LINE = 8, /* a cache line for each CPU */
};

#define TALLY_SLOTS 64
__u64 tally[TALLY_SLOTS][TALLY_LINE] __attribute__((aligned(64)));

#define COUNT(what)                                                                                \
	__sync_fetch_and_add(&tally[bpf_get_smp_processor_id() & (TALLY_SLOTS - 1)][what], 1)

const volatile __u32 cfg_probe = 0; /* the engine's number for this probe */
const volatile bool cfg_cookie = false; /* bpf_get_socket_cookie() is there (5.12) */

/*
 * Names the struct that event_send() takes. clang leaves a type out of BTF that only a local
 * variable uses; the unused global keeps it in.
 */
#define PROBE_EVENTS(type, doc) type *event_type DOC(doc)

/*
 * What is decided about a finished event: the engine puts instructions in the place of the constant
 * (engine/patch.c) for `where`, `sample`, `rate` and aggregations. They find the event in r6, room
 * of STAGE_WORDS in r7, and leave in r0: 0 to send the event, else the tally that counts it.
 */
#ifndef STAGE_MARK
#define STAGE_MARK "0x62706e6574737467" /* "bpnetstg" */
#endif
#define STAGE_WORDS 20

static __always_inline __u64 stage(const void *ev)
{
	__u64 room[STAGE_WORDS], verdict;

	asm volatile("r6 = %[ev]\n"
		     "r7 = %[room]\n"
		     "r0 = " STAGE_MARK " ll\n"
		     "%[verdict] = r0\n"
		     : [verdict] "=r"(verdict)
		     : [ev] "r"(ev), [room] "r"(room)
		     : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "memory");
	return verdict;
}

/*
 * An atomic exchange: clang makes none for -mcpu=v2, and 5.10 and 5.11 have none. So the engine puts the
 * instruction in the place of the constant, where the kernel takes it.
 */
#define EXCHANGE_MARK "0x62706e6574786368" /* "bpnetxch" */

enum exchange {
	EXCHANGED, /* `was` stood there, now it is `becomes` */
	NOT_EXCHANGED,
	CANT_EXCHANGE, /* not on this kernel */
};

/* Neither of them may be 2. */
static __always_inline enum exchange compare_exchange(__u64 *at, __u64 was, __u64 becomes)
{
	__u64 found;

	asm volatile("r6 = %[at]\n"
		     "r7 = %[becomes]\n"
		     "r8 = %[was]\n"
		     "r0 = " EXCHANGE_MARK " ll\n"
		     "%[found] = r0\n"
		     : [found] "=r"(found)
		     : [at] "r"(at), [was] "r"(was), [becomes] "r"(becomes)
		     : "r0", "r6", "r7", "r8", "memory");
	if (found == 2)
		return CANT_EXCHANGE;
	return found == was ? EXCHANGED : NOT_EXCHANGED;
}

/*
 * A wake-up costs the traced task microseconds. The first event after a pause wakes the reader at
 * once; then it looks by itself and moves until_ns ahead, so that what follows needs none.
 */
static __always_inline __u64 wakeup_flags(__u64 ts_ns)
{
	__u32 zero = 0;
	struct wakeup *w = bpf_map_lookup_elem(&wakeups, &zero);

	if (!w)
		return BPF_RB_NO_WAKEUP;
	/* Signed: another CPU's newer time stamp may already be there. */
	if ((__s64)(ts_ns - w->until_ns) >= 0) {
		if (w->gap_ns)
			w->until_ns = ts_ns + w->gap_ns;
		return BPF_RB_FORCE_WAKEUP;
	}
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) <= w->full_bytes ||
	    (__s64)(ts_ns - w->full_ns) < (__s64)w->full_gap_ns)
		return BPF_RB_NO_WAKEUP;
	w->full_ns = ts_ns;
	return BPF_RB_FORCE_WAKEUP;
}

/* Hands an event with all its fields over, or counts why not. Returns 0, for a program to return. */
static __always_inline int event_send(const void *ev, const __u64 size, __u64 ts_ns)
{
	__u64 verdict = stage(ev);
	struct event_hdr *hdr;

	if (verdict) {
		COUNT(verdict & (TALLY_LINE - 1));
		return 0;
	}
	hdr = bpf_ringbuf_reserve(&events, size + sizeof(*hdr), 0);
	if (!hdr) {
		COUNT(TALLY_DROPPED);
		return 0;
	}
	hdr->probe = cfg_probe;
	hdr->zero = 0;
	__builtin_memcpy(hdr + 1, ev, size);
	bpf_ringbuf_submit(hdr, wakeup_flags(ts_ns));
	return 0;
}

static __always_inline int send_in_place(struct event_hdr *hdr, const __u64 size, __u64 ts_ns,
					 const bool at_once)
{
	__u64 verdict = stage(hdr + 1);

	if (verdict) {
		COUNT(verdict & (TALLY_LINE - 1));
		return 0;
	}
	hdr->probe = cfg_probe;
	hdr->zero = 0;
	if (bpf_ringbuf_output(&events, hdr, size + sizeof(*hdr),
			       at_once ? BPF_RB_FORCE_WAKEUP : wakeup_flags(ts_ns)))
		COUNT(TALLY_DROPPED);
	return 0;
}

/*
 * The same for an event that lies in a map, right behind a struct event_hdr: for those that are too
 * large for the stack.
 */
static __always_inline int event_send_in_place(struct event_hdr *hdr, const __u64 size, __u64 ts_ns)
{
	return send_in_place(hdr, size, ts_ns, false);
}

/* For rare ones that the reader has to know of before the world goes on: it is woken in any case. */
static __always_inline int event_send_at_once(struct event_hdr *hdr, const __u64 size)
{
	return send_in_place(hdr, size, 0, true);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#endif
