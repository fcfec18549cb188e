/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* request.h - the event of tcprequest, and what is kept of a connection until it is sent. */
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

#endif
