/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * redirect.h - the maps of the redirect, and what its programs and the engine tell each other
 * through them. engine/redirect_abi.h has the same structs.
 */
#ifndef BPFNET_REDIRECT_H
#define BPFNET_REDIRECT_H

#include "redirect_kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#define MAX_FLOWS 65536

/* What is done with the messages of a socket that is in the map `sockets`. */
enum mode {
	MODE_ALONE, /* all go by TCP: the other end is not in the map yet */
	MODE_ON,
	MODE_LEAVING, /* like ON, till a moment comes when nothing is under way or queued */
	MODE_PASSING, /* all go by TCP: that moment did not come soon enough, or is now */
	MODE_LEFT, /* out of the map */
	MODE_CLOSED,
};

/* Why a connection is not redirected, or no longer. */
enum why {
	WHY_NONE,
	WHY_STREAM, /* one end sends much without an answer */
	WHY_BLOCKING, /* blocking receives meet EAGAIN in a sockmap */
	WHY_ULP, /* kTLS or another protocol on top, MPTCP too */
	WHY_OWNED, /* sk_user_data is in use: another sockmap, or the kernel's own socket */
	WHY_OPTION, /* SO_RCVLOWAT, SO_TIMESTAMP, SO_ZEROCOPY, ...: they do not work in a sockmap */
	WHY_NO_FILE, /* not accepted yet, or no process's */
	WHY_FULL, /* the table is full */
	WHY_ALONE, /* its other end could not be taken */
	WHY_STOPPED,
	WHY_SCOPE, /* one of the ends is of a process that is not meant */
	WHY_UNREAD, /* the other end left something unread that came by TCP */
	WHY_CLOSING,
};

struct tuple {
	struct in6_addr saddr;
	struct in6_addr daddr;
	__u16 sport;
	__u16 dport;
	__u32 netns;
};

/* One end of a connection that was taken; key: its socket's cookie. */
struct flow {
	__u64 peer; /* cookie of the other end */
	__u64 sk; /* addresses of the struct socks: only to be read after the cookie was compared */
	__u64 peer_sk;
	__u64 redirected_bytes; /* sent */
	__u64 redirected_msgs;
	__u64 passed_bytes;
	__u64 passed_msgs;
	__u64 peer_msgs; /* that the other end had sent when this one sent last */
	__u64 run_bytes; /* sent since then */
	__u64 queued_bytes; /* redirected since the other end's queue was seen empty */
	__u32 queued_msgs;
	__u32 run_msgs;
	__u64 taken_ns;
	__u64 left_ns; /* began to leave, or closed */
	__u32 mode;
	__u32 why;
	__u32 settled; /* the other end has no receive call from before it was taken */
	__u32 turns_wanted; /* next time, if it is let go */
	__u32 passing; /* something went by TCP that the other end may not have read yet */
	__u32 copied_seq; /* of the other end, when it was looked at last because of that */
	__u64 looked_ns;
	__u32 poke; /* once it is out of the map, its process must be told that there is data */
	__u32 zero;
	struct tuple tuple;
};

/* Other processes' probes find it by its name, see redirected.h. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FLOWS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct flow);
} redirect_flows SEC(".maps");

/* Both ends are here and would take turns, but it can't be; key: the cookie of the end that knew. */
struct refusal {
	struct tuple tuple;
	__u64 peer;
	__u32 why;
	__u32 zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct refusal);
} refused SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, MAX_FLOWS);
	__type(key, __u64);
	__type(value, __u64);
} sockets SEC(".maps");

/*
 * A connection by its initial sequence numbers, which its two ends see the other way round, whatever
 * NAT did to addresses and ports between them. Loopback's are kept apart by namespace.
 */
struct ask_key {
	__u32 snd;
	__u32 rcv;
	__u64 netns_cookie; /* 0 where addresses are not loopback */
};

struct ask {
	__u64 cookie;
	__u64 sk;
	__u32 why; /* it can't be taken */
	__u32 matched; /* it has found the other end */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FLOWS);
	__type(key, struct ask_key);
	__type(value, struct ask);
} asking SEC(".maps");

/* A socket whose turns are counted. */
struct watch {
	__u64 in_bytes;
	__u64 out_bytes;
	__u32 turns;
	__u32 wanted; /* turns until it asks */
	__u32 asked; /* and so has the other end */
	__u32 sampled; /* no callbacks come: in_bytes is the sum of both ways, and there are */
	__u32 in_segs;
	__u32 out_segs;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct watch);
} watched SEC(".maps");

/* A socket that has found its other end and is to be put into the map. */
struct wanted {
	__u64 peer;
	__u64 peer_sk;
	__u32 turns_wanted;
	__u32 tries;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct wanted);
} candidates SEC(".maps");

/* Cookies of candidates whose other end is one, too. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FLOWS);
	__type(key, __u64);
	__type(value, __u32);
} ready SEC(".maps");

enum notice_kind {
	NOTICE_WANTED, /* the map `candidates` has something */
	NOTICE_TAKEN,
	NOTICE_REFUSED,
	NOTICE_LEAVING,
	NOTICE_PASSING, /* something went by TCP: look whether it is read */
	NOTICE_CLOSED,
};

struct notice {
	__u32 kind;
	__u32 why;
	__u64 ts_ns;
	__u64 cookie;
	__u64 peer;
	__u64 ino; /* of the two sockets, as in /proc/PID/fd; only of NOTICE_WANTED */
	__u64 peer_ino;
	struct tuple tuple;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} notices SEC(".maps");

/* Ports in scope, a bit each; not asked if all are. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536 / 64);
	__type(key, __u32);
	__type(value, __u64);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536 / 64);
	__type(key, __u32);
	__type(value, __u64);
} ports_excluded SEC(".maps");

/* Cookies of sockets that the program `wake` is to look for. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u32);
} waking SEC(".maps");

/* Ids of the cgroups that are meant. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, __u32);
} scopes SEC(".maps");

/* What the engine sets and may change while the programs run. */
struct config {
	__u64 until_ns; /* the engine is alive till then, or promises so: without it nothing goes past */
	__u64 stream_bytes; /* so much without an answer is a stream */
	__u64 turn_bytes; /* a turn with more is none */
	__u64 queue_bytes; /* that may wait in a socket's queue */
	__u32 stream_msgs;
	__u32 queue_msgs;
	__u32 turns; /* after so many it is taken */
	__u32 tries; /* how often a good moment to take it is waited for */
	__u8 some_ports;
	__u8 some_excluded;
	__u8 blocking; /* blocking sockets too */
	__u8 stopping;
	__u8 some_pids; /* the engine makes candidates ready, when it has seen whose they are */
	__u8 goes_on; /* without the engine too: what goes by TCP is not safe in the map, see is_idle() */
	__u8 zero[2];
	__u64 sleep_function; /* address of woken_wake_function(), with which receivers sleep; 0: unknown */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct config);
} configs SEC(".maps");

struct amounts {
	__u64 redirected_bytes;
	__u64 redirected_msgs;
	__u64 passed_bytes;
	__u64 passed_msgs;
};

/* What is counted; the engine reads it. */
struct totals {
	__u64 taken;
	__u64 refused;
	__u64 left;
	__u64 lost_notices;
	struct amounts closed; /* of ends that are forgotten */
	/* What the last sweep has found; the engine sets it to zero before. */
	struct amounts known;
	__u64 live; /* ends that are redirected */
	__u64 leaving; /* ends in the map that are not to stay */
	__u64 sampled; /* and the last sample: sockets that have no callbacks */
	__u64 unread; /* ends that have sent by TCP what may not have been read yet */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct totals);
} counts SEC(".maps");

#endif
