/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* redirect_abi.h - what the programs of bpf/redirect.bpf.c share with us: see bpf/redirect.h. */
#ifndef BPFNET_REDIRECT_ABI_H
#define BPFNET_REDIRECT_ABI_H

#include <stdint.h>

struct redirect_tuple {
	uint8_t saddr[16];
	uint8_t daddr[16];
	uint16_t sport;
	uint16_t dport;
	uint32_t netns;
};

enum flow_mode { FLOW_ALONE, FLOW_ON, FLOW_LEAVING, FLOW_PASSING, FLOW_LEFT, FLOW_CLOSED };

struct redirect_flow {
	uint64_t peer;
	uint64_t sk;
	uint64_t peer_sk;
	uint64_t redirected_bytes;
	uint64_t redirected_msgs;
	uint64_t passed_bytes;
	uint64_t passed_msgs;
	uint64_t peer_msgs;
	uint64_t run_bytes;
	uint64_t queued_bytes;
	uint32_t queued_msgs;
	uint32_t run_msgs;
	uint64_t taken_ns;
	uint64_t left_ns;
	uint32_t mode; /* enum flow_mode */
	uint32_t why; /* enum redirect_why */
	uint32_t settled;
	uint32_t turns_wanted;
	uint32_t passing;
	uint32_t copied_seq;
	uint64_t looked_ns;
	uint32_t poke;
	uint32_t zero;
	struct redirect_tuple tuple;
};

struct redirect_refusal {
	struct redirect_tuple tuple;
	uint64_t peer;
	uint32_t why;
	uint32_t zero;
};

enum notice_kind {
	NOTICE_WANTED,
	NOTICE_TAKEN,
	NOTICE_REFUSED,
	NOTICE_LEAVING,
	NOTICE_PASSING,
	NOTICE_CLOSED,
};

struct redirect_notice {
	uint32_t kind;
	uint32_t why;
	uint64_t ts_ns;
	uint64_t cookie;
	uint64_t peer;
	uint64_t ino;
	uint64_t peer_ino;
	struct redirect_tuple tuple;
};

struct redirect_chore {
	uint64_t cookie;
	uint32_t netns; /* 0: forget the flow, else wake who waits for the socket */
	uint32_t zero;
};

struct redirect_config {
	uint64_t until_ns;
	uint64_t stream_bytes;
	uint64_t turn_bytes;
	uint64_t queue_bytes;
	uint32_t stream_msgs;
	uint32_t queue_msgs;
	uint32_t turns;
	uint32_t tries;
	uint8_t some_ports;
	uint8_t some_excluded;
	uint8_t blocking;
	uint8_t stopping;
	uint8_t some_pids;
	uint8_t goes_on;
	uint8_t zero[2];
	uint64_t sleep_function;
};

struct redirect_amounts {
	uint64_t redirected_bytes;
	uint64_t redirected_msgs;
	uint64_t passed_bytes;
	uint64_t passed_msgs;
};

struct redirect_totals {
	uint64_t taken;
	uint64_t refused;
	uint64_t left;
	uint64_t lost_notices;
	struct redirect_amounts closed;
	struct redirect_amounts known; /* from here on: of the last sweep */
	uint64_t live;
	uint64_t leaving;
	uint64_t sampled;
	uint64_t unread;
};

#endif
