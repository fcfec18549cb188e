/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* expr_cases.h - a record with every kind of field, and expressions whose value is known for it. */
#ifndef BPFNET_TEST_EXPR_CASES_H
#define BPFNET_TEST_EXPR_CASES_H

#include <endian.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include "record.h"
#include "types.h"

struct rec {
	uint64_t duration_ns, rx_bytes, tx_bytes, cookie;
	uint64_t latency_ns; /* opt_u64 */
	int64_t delta;
	uint64_t blong; /* __be64 */
	uint64_t wide; /* bits: b40 from 5, s19 from 45; b31 and b32 are parts of b40 */
	uint32_t bits; /* bits: b3, b17, s7 from 20, phase from 27 */
	uint32_t srtt_us, pid;
	uint32_t rtt_us; /* opt_u32 */
	int32_t drift_ms;
	int32_t error, cause; /* errno_t */
	uint32_t bword; /* __be32 */
	int32_t mood; /* enum with a negative value */
	uint16_t sport, dport;
	uint16_t bport; /* __be16 */
	int16_t small;
	uint8_t retrans;
	int8_t tiny;
	uint8_t ended, began; /* enum end */
	uint8_t old, fresh; /* bool */
	uint8_t v4[4]; /* in_addr */
	char tag[3], name[7];
	char comm[16], closer_comm[16];
	uint8_t saddr[16], daddr[16]; /* in6_addr */
	uint8_t mac[6], mac2[6];
	uint8_t v4b[4];
	uint32_t reason; /* drop_reason_t */
	uint8_t flags, flags2; /* tcp_flags_t */
	uint8_t smac[6], dmac[6]; /* mac_addr */
	/* at odd offsets */
	uint8_t zero;
	uint32_t odd;
	uint8_t oddaddr[16];
	uint8_t zero2;
} __attribute__((packed));

_Static_assert(sizeof(struct rec) % 8 == 0, "copied in words of 8 bytes");

#define V4(a, b, c, d)                                                                             \
	{                                                                                          \
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d                               \
	}
#define NONE64 UINT64_MAX
#define NONE32 UINT32_MAX

#define ADD(member, type)       btf__add_field(b, #member, type, offsetof(struct rec, member) * 8, 0)
#define ADD_BITS(n, t, w, o, s) btf__add_field(b, #n, t, offsetof(struct rec, w) * 8 + (o), s)

static inline void expr_add_numbers(struct types *t, int end, int mood, int phase)
{
	struct btf *b = t->btf;

	ADD(duration_ns, t->u64);
	ADD(rx_bytes, t->u64);
	ADD(tx_bytes, t->u64);
	ADD(cookie, t->u64);
	ADD(latency_ns, t->opt64);
	ADD(delta, t->s64);
	ADD(blong, t->be64);
	ADD_BITS(b40, t->u64, wide, 5, 40);
	ADD_BITS(s19, t->s64, wide, 45, 19);
	ADD_BITS(b31, t->u64, wide, 5, 31);
	ADD_BITS(b32, t->u64, wide, 6, 32);
	ADD_BITS(b3, t->u32, bits, 0, 3);
	ADD_BITS(b17, t->u32, bits, 3, 17);
	ADD_BITS(s7, t->s32, bits, 20, 7);
	ADD_BITS(phase, phase, bits, 27, 4);
	ADD(srtt_us, t->u32);
	ADD(pid, t->u32);
	ADD(rtt_us, t->opt32);
	ADD(drift_ms, t->s32);
	ADD(error, t->err);
	ADD(cause, t->err);
	ADD(bword, t->be32);
	ADD(mood, mood);
	ADD(sport, t->u16);
	ADD(dport, t->u16);
	ADD(bport, t->be16);
	ADD(small, t->s16);
	ADD(retrans, t->u8);
	ADD(tiny, t->s8);
	ADD(ended, end);
	ADD(began, end);
	ADD(old, t->boolean);
	ADD(fresh, t->boolean);
}

static inline struct layout *expr_layout(void)
{
	static const char *const ends[] = { "END_FIN", "END_RST_SENT", "END_TIMEOUT", "END_BIG",
					    NULL };
	static const char *const moods[] = { "BAD", "GOOD", NULL };
	static const char *const phases[] = { "PHASE_A", "PHASE_B", "PHASE_C", NULL };
	static const int64_t end_values[] = { 0, 1, 2, 200 }, mood_values[] = { -5, 7 };
	static const int64_t phase_values[] = { 1, 2, 15 };
	struct layout *layout;
	struct types types, *t = &types;
	int end, mood, phase, comm, name, tag, mac, id;
	struct err err;
	struct btf *b;

	types_new(t);
	b = t->btf;
	end = types_enum(t, "end", 1, ends, end_values);
	mood = types_enum(t, "mood", 4, moods, mood_values);
	phase = types_enum(t, "phase", 4, phases, phase_values);
	comm = types_array(t, t->ch, 16);
	name = types_array(t, t->ch, 7);
	tag = types_array(t, t->ch, 3);
	mac = types_array(t, t->u8, 6);
	id = btf__add_struct(b, "event", sizeof(struct rec));
	expr_add_numbers(t, end, mood, phase);
	ADD(comm, comm);
	ADD(closer_comm, comm);
	ADD(name, name);
	ADD(tag, tag);
	ADD(mac, mac);
	ADD(mac2, mac);
	ADD(v4, t->in_addr);
	ADD(v4b, t->in_addr);
	ADD(saddr, t->in6_addr);
	ADD(daddr, t->in6_addr);
	ADD(reason, t->reason);
	ADD(flags, t->flags);
	ADD(flags2, t->flags);
	ADD(smac, t->mac);
	ADD(dmac, t->mac);
	ADD(odd, t->u32);
	ADD(oddaddr, t->in6_addr);
	if (layout_new(&layout, b, id, &err)) {
		printf("%s\n", err.msg);
		abort();
	}
	types_free(t);
	return layout;
}

struct expr_case {
	const char *text;
	struct rec rec;
	bool want;
};

#define PASS(text, ...)                                                                            \
	{                                                                                          \
		text, { __VA_ARGS__ }, true                                                        \
	}
#define FAIL_(text, ...)                                                                           \
	{                                                                                          \
		text, { __VA_ARGS__ }, false                                                       \
	}
#define BOTH(text, yes, no)                                                                        \
	{ text, yes, true },                                                                       \
	{                                                                                          \
		text, no, false                                                                    \
	}
#define R(...)                                                                                     \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const struct expr_case expr_cases[] = {
	/* comparisons */
	BOTH("dport == 443", R(.dport = 443), R(.dport = 444)),
	BOTH("443 == dport", R(.dport = 443), R(.dport = 444)),
	BOTH("dport != 443", R(.dport = 444), R(.dport = 443)),
	BOTH("dport ~= 443", R(.dport = 444), R(.dport = 443)),
	BOTH("dport < 80", R(.dport = 79), R(.dport = 80)),
	BOTH("dport <= 80", R(.dport = 80), R(.dport = 81)),
	BOTH("dport > 80", R(.dport = 81), R(.dport = 80)),
	BOTH("dport >= 80", R(.dport = 80), R(.dport = 79)),
	BOTH("80 < dport", R(.dport = 81), R(.dport = 80)),
	BOTH("80 >= dport", R(.dport = 80), R(.dport = 81)),
	BOTH("sport == dport", R(.sport = 9, .dport = 9), R(.sport = 9)),
	BOTH("rx_bytes > tx_bytes", R(.rx_bytes = 9), R(.tx_bytes = 9)),
	BOTH("tiny < retrans", R(.tiny = -1), R(.tiny = 1)),
	/* signs and widths */
	BOTH("tiny == -128", R(.tiny = -128), R(.tiny = 127)),
	BOTH("small < 0", R(.small = -1), R(.small = 1)),
	BOTH("drift_ms == -5ms", R(.drift_ms = -5), R(.drift_ms = 5)),
	BOTH("delta <= -9223372036854775807", R(.delta = INT64_MIN), R(.delta = 0)),
	BOTH("delta == 0x8000000000000000", R(.delta = INT64_MIN), R(.delta = INT64_MAX)),
	BOTH("cookie == 0xffff_ffff_ffff_ffff", R(.cookie = ~0ULL), R(.cookie = 1)),
	BOTH("cookie < 0", R(.cookie = ~0ULL), R(.cookie = 1)),
	BOTH("pid == 4_294_967_295", R(.pid = ~0U), R(.pid = 1)),
	BOTH("pid > 0x7fffffff", R(.pid = 0x80000000), R(.pid = 0x7fffffff)),
	FAIL_("pid > 0x100000000", .pid = ~0U),
	BOTH("odd == 0x12345678", R(.odd = 0x12345678), R(.odd = 0x12345679)),
	BOTH("bport == 80", R(.bport = 0x5000), R(.bport = 80)),
	BOTH("bword == 0x01020304", R(.bword = 0x04030201), R(.bword = 0x01020304)),
	BOTH("blong == 1", R(.blong = 1ULL << 56), R(.blong = 1)),
	BOTH("b3 == 5", R(.bits = 5 | 8), R(.bits = 4)),
	BOTH("b17 == 0x1ffff", R(.bits = 0x1ffff << 3), R(.bits = 0xffff << 3)),
	BOTH("s7 == -1", R(.bits = 0x7f << 20), R(.bits = 0x3f << 20)),
	BOTH("b40 == 0xffffffffff", R(.wide = ~0ULL), R(.wide = 31)),
	BOTH("b31 == 0x7fffffff", R(.wide = ~0ULL), R(.wide = 31)),
	BOTH("b32 == 0xffffffff", R(.wide = ~0ULL), R(.wide = 31)),
	BOTH("s19 < 0", R(.wide = 1ULL << 63), R(.wide = 1ULL << 62)),
	/* units */
	BOTH("duration_ns > 2ms", R(.duration_ns = 2000001), R(.duration_ns = 2000000)),
	BOTH("duration_ns > 2 ms and true", R(.duration_ns = 2000001), R(.duration_ns = 2000000)),
	BOTH("duration_ns > 1.5 \t us", R(.duration_ns = 1501), R(.duration_ns = 1500)),
	BOTH("srtt_us > 2ms", R(.srtt_us = 2001), R(.srtt_us = 2000)),
	BOTH("2ms < srtt_us", R(.srtt_us = 2001), R(.srtt_us = 2000)),
	BOTH("drift_ms >= 1.5s", R(.drift_ms = 1500), R(.drift_ms = 1499)),
	BOTH("duration_ns == 7ns", R(.duration_ns = 7), R(0)),
	BOTH("duration_ns == 1.5us", R(.duration_ns = 1500), R(0)),
	BOTH("duration_ns == 0.25ms", R(.duration_ns = 250000), R(0)),
	BOTH("duration_ns == 2m", R(.duration_ns = 120000000000), R(0)),
	BOTH("duration_ns == 0.5h", R(.duration_ns = 1800000000000), R(0)),
	BOTH("rx_bytes == 12B", R(.rx_bytes = 12), R(0)),
	BOTH("rx_bytes == 1.5KiB", R(.rx_bytes = 1536), R(0)),
	BOTH("rx_bytes == 2MiB", R(.rx_bytes = 2 << 20), R(0)),
	BOTH("rx_bytes == 3GiB", R(.rx_bytes = 3ULL << 30), R(0)),
	BOTH("rx_bytes == 4TiB", R(.rx_bytes = 4ULL << 40), R(0)),
	BOTH("rx_bytes == 1kB", R(.rx_bytes = 1000), R(0)),
	BOTH("rx_bytes == 1.2MB", R(.rx_bytes = 1200000), R(0)),
	BOTH("rx_bytes == 1GB", R(.rx_bytes = 1000000000), R(0)),
	BOTH("duration_ns > 1ms + 500us", R(.duration_ns = 1500001), R(.duration_ns = 1500000)),
	BOTH("srtt_us * 2 > 3ms", R(.srtt_us = 1501), R(.srtt_us = 1500)),
	BOTH("duration_ns - 1ms > 2 * 1ms", R(.duration_ns = 3000001), R(.duration_ns = 3000000)),
	BOTH("duration_ns / 1ms == 3", R(.duration_ns = 3999999), R(.duration_ns = 4000000)),
	BOTH("(rx_bytes + tx_bytes) / 1KiB >= 2", R(.rx_bytes = 2000, .tx_bytes = 48),
	     R(.rx_bytes = 2000, .tx_bytes = 47)),
	BOTH("rx_bytes * 8 / duration_ns > 1", R(.duration_ns = 4, .rx_bytes = 1),
	     R(.duration_ns = 5, .rx_bytes = 1)),
	BOTH("duration_ns in 1ms..5ms", R(.duration_ns = 5000000), R(.duration_ns = 5000001)),
	BOTH("srtt_us in {1ms, 2ms..3ms}", R(.srtt_us = 2500), R(.srtt_us = 1001)),
	/* arithmetic */
	BOTH("sport + dport == 70000", R(.sport = 35000, .dport = 35000), R(.sport = 4464)),
	BOTH("retrans - 1 == -1", R(0), R(.retrans = 1)),
	BOTH("delta + 1 < delta", R(.delta = INT64_MAX), R(.delta = 4)),
	BOTH("delta * 2 == 0", R(.delta = INT64_MIN), R(.delta = 1)),
	BOTH("delta / 2 == -3", R(.delta = -7), R(.delta = -8)),
	BOTH("delta % 4 == -3", R(.delta = -7), R(.delta = 1)),
	BOTH("7 / tiny == -3", R(.tiny = -2), R(.tiny = 2)),
	BOTH("7 % tiny == 1", R(.tiny = -2), R(.tiny = 4)),
	BOTH("7 / retrans == 0", R(0), R(.retrans = 7)),
	BOTH("7 % retrans == 7", R(0), R(.retrans = 7)),
	BOTH("delta / tiny == delta", R(.delta = INT64_MIN, .tiny = -1), R(.delta = 6, .tiny = -1)),
	BOTH("delta % tiny == 0", R(.delta = INT64_MIN, .tiny = -1), R(.delta = 6, .tiny = 4)),
	BOTH("delta % tiny == -9223372036854775807 - 1", R(.delta = INT64_MIN), R(.delta = 5)),
	BOTH("delta / -9223372036854775807 == -1", R(.delta = INT64_MAX), R(.delta = 5)),
	BOTH("delta / 0x8000000000000000 == 1", R(.delta = INT64_MIN), R(.delta = INT64_MAX)),
	BOTH("pid & 0xff == 3", R(.pid = 0x103), R(.pid = 4)),
	BOTH("pid | 1 == 3", R(.pid = 2), R(.pid = 4)),
	BOTH("pid ^ 1 == 3", R(.pid = 2), R(.pid = 3)),
	BOTH("pid << 4 == 0x1230", R(.pid = 0x123), R(.pid = 0x124)),
	BOTH("1 << retrans == 2", R(.retrans = 65), R(.retrans = 64)),
	BOTH("delta >> 63 == 1", R(.delta = -1), R(.delta = 1)),
	BOTH("delta >> tiny == 1", R(.delta = -1, .tiny = -1), R(.delta = 1, .tiny = -1)),
	BOTH("~pid == -2", R(.pid = 1), R(.pid = 2)),
	BOTH("-delta == delta", R(.delta = INT64_MIN), R(.delta = 1)),
	BOTH("- -delta == 1", R(.delta = 1), R(.delta = -1)),
	BOTH("1 + 2 * 3 - 4 / 2 == pid", R(.pid = 5), R(.pid = 7)),
	BOTH("pid == 10 - 3 - 2", R(.pid = 5), R(.pid = 9)),
	BOTH("1 | 6 ^ 5 & 4 << 1 == pid", R(.pid = 7), R(.pid = 3)),
	BOTH("pid == (1 - (2 - (3 - (4 - (5 - (6 - retrans))))))", R(.retrans = 3), R(0)),
	/* logic */
	BOTH("old", R(.old = 1), R(0)),
	BOTH("not old", R(0), R(.old = 1)),
	BOTH("!old", R(0), R(.old = 255)),
	BOTH("old == true", R(.old = 2), R(0)),
	BOTH("old == false", R(0), R(.old = 2)),
	BOTH("old != true", R(0), R(.old = 2)),
	BOTH("true == old", R(.old = 1), R(0)),
	BOTH("old == fresh", R(.old = 2, .fresh = 7), R(.old = 1)),
	BOTH("old != fresh", R(.old = 2), R(.old = 1, .fresh = 3)),
	BOTH("(pid > 1) == false", R(.pid = 1), R(.pid = 2)),
	BOTH("not pid == 1", R(.pid = 2), R(.pid = 1)),
	BOTH("not not pid == 1", R(.pid = 1), R(.pid = 2)),
	BOTH("not (pid == 1 or old)", R(.pid = 2), R(.old = 1)),
	BOTH("not (pid == 1 and old)", R(.pid = 1), R(.pid = 1, .old = 1)),
	BOTH("pid == 1 or pid == 2 and old", R(.pid = 1), R(.pid = 2)),
	BOTH("(pid == 1 or pid == 2) and old", R(.pid = 2, .old = 1), R(.pid = 1)),
	BOTH("pid == 1 || pid == 2 && old", R(.pid = 2, .old = 1), R(.pid = 2)),
	BOTH("pid == 1 and not old", R(.pid = 1), R(.pid = 1, .old = 1)),
	BOTH("duration_ns > 2ms and (dport == 443 or daddr in 10.0.0.0/8)",
	     R(.duration_ns = 3000000, .daddr = V4(10, 1, 2, 3)),
	     R(.duration_ns = 3000000, .daddr = V4(11, 1, 2, 3))),
	/* constants */
	PASS("true", 0),
	FAIL_("false", 0),
	PASS("1 < 2", 0),
	FAIL_("1ms > 2s", 0),
	PASS("true or pid == 1", 0),
	FAIL_("pid == 1 and false", .pid = 1),
	BOTH("pid == 1 and 3 in {1, 2..4}", R(.pid = 1), R(0)),
	BOTH("pid == 1 or 10.0.0.1 in 11.0.0.0/8", R(.pid = 1), R(0)),
	BOTH("pid == 1 or ::ffff:10.0.0.1 != 10.0.0.1", R(.pid = 1), R(0)),
	PASS("not false and not (false or false)", 0),
	/* enums and errnos */
	BOTH("ended == rst_sent", R(.ended = 1), R(.ended = 2)),
	BOTH("ended == \"rst_sent\"", R(.ended = 1), R(.ended = 2)),
	BOTH("rst_sent == ended", R(.ended = 1), R(.ended = 2)),
	BOTH("ended != fin", R(.ended = 1), R(0)),
	BOTH("ended in {fin, 'timeout'}", R(.ended = 2), R(.ended = 1)),
	BOTH("ended not in {fin, timeout}", R(.ended = 1), R(.ended = 2)),
	BOTH("ended == 200", R(.ended = 200), R(.ended = 2)),
	BOTH("ended == big", R(.ended = 200), R(.ended = 2)),
	BOTH("ended == began", R(.ended = 2, .began = 2), R(.ended = 2)),
	BOTH("mood == bad", R(.mood = -5), R(.mood = 7)),
	BOTH("mood in {-5, good}", R(.mood = -5), R(.mood = 5)),
	BOTH("phase == c", R(.bits = 15U << 27), R(.bits = 1U << 27)),
	BOTH("error == ECONNREFUSED", R(.error = 111), R(0)),
	BOTH("ECONNREFUSED == error", R(.error = 111), R(0)),
	BOTH("error != ECONNREFUSED", R(0), R(.error = 111)),
	BOTH("error == \"ETIMEDOUT\"", R(.error = 110), R(.error = 111)),
	BOTH("error in {ECONNREFUSED, ETIMEDOUT}", R(.error = 110), R(0)),
	BOTH("error not in {ECONNREFUSED, 'ETIMEDOUT'}", R(0), R(.error = 110)),
	BOTH("error == 111", R(.error = 111), R(.error = 0)),
	BOTH("error == nil", R(0), R(.error = 1)),
	BOTH("error != nil", R(.error = 1), R(0)),
	BOTH("error == 0", R(0), R(.error = 1)),
	BOTH("error in {0, 1..5}", R(0), R(.error = 6)),
	BOTH("error == cause", R(.error = 1, .cause = 1), R(0)),
	BOTH("error != cause", R(0), R(.error = 1, .cause = 1)),
	/* drop reasons, of which numbers are the same on all kernels */
	BOTH("reason == 5", R(.reason = 5), R(.reason = 6)),
	BOTH("reason == '2:7'", R(.reason = 0x20007), R(.reason = 7)),
	BOTH("reason != '40000:7'", R(.reason = 7), R(.reason = 0x9c400007)),
	BOTH("reason in {5..7, '3:1'}", R(.reason = 0x30001), R(.reason = 1)),
	BOTH("reason == nil", R(0), R(.reason = 1)),
	BOTH("reason != nil", R(.reason = NONE32), R(0)),
	BOTH("reason == 0", R(0), R(.reason = 1)),
	BOTH("reason != 5", R(0), R(.reason = 5)),
	BOTH("reason in {0, 5}", R(0), R(.reason = 6)),
	BOTH("reason not in {1..5}", R(0), R(.reason = 5)),
	/* TCP flags: text, and a number that is never nil */
	BOTH("flags == 'SYN'", R(.flags = 2), R(.flags = 0x12)),
	BOTH("flags == SYN", R(.flags = 2), R(.flags = 0x12)),
	BOTH("flags == 'SYN|ACK'", R(.flags = 0x12), R(.flags = 2)),
	BOTH("flags == \"ACK|SYN\"", R(.flags = 0x12), R(.flags = 2)),
	BOTH("flags != 'FIN|SYN|RST|PSH|ACK|URG|ECE|CWR'", R(.flags = 0x7f), R(.flags = 0xff)),
	BOTH("flags in {'SYN', 'SYN|ACK', 4}", R(.flags = 0x12), R(.flags = 0x10)),
	BOTH("flags & 2 != 0", R(.flags = 0x12), R(.flags = 0x10)),
	BOTH("flags & 2 == 0", R(0), R(.flags = 2)),
	BOTH("flags >= 0x80", R(.flags = 0x80), R(.flags = 0x7f)),
	BOTH("flags == 0", R(0), R(.flags = 1)),
	BOTH("flags == nil", R(0), R(.flags = 1)),
	BOTH("flags ~= nil", R(.flags = 0x80), R(0)),
	BOTH("flags == flags2", R(.flags = 3, .flags2 = 3), R(.flags = 3)),
	/* MAC addresses */
	BOTH("smac == '02:42:ac:11:00:02'", R(.smac = { 2, 0x42, 0xac, 0x11, 0, 2 }),
	     R(.smac = { 2, 0x42, 0xac, 0x11, 0, 3 })),
	BOTH("'02:42:AC:11:00:02' != smac", R(.smac = { 3, 0x42, 0xac, 0x11, 0, 2 }),
	     R(.smac = { 2, 0x42, 0xac, 0x11, 0, 2 })),
	BOTH("dmac in {'ff:ff:ff:ff:ff:ff', '00:00:00:00:00:01'}", R(.dmac = { [5] = 1 }),
	     R(.dmac = { [4] = 1 })),
	BOTH("dmac == nil", R(.smac = { 1 }), R(.dmac = { [5] = 1 })),
	BOTH("dmac != nil", R(.dmac = { 1 }), R(.smac = { 1 })),
	BOTH("smac == dmac", R(.smac = { [5] = 9 }, .dmac = { [5] = 9 }), R(.smac = { [5] = 9 })),
	/* nil */
	BOTH("latency_ns == nil", R(.latency_ns = NONE64), R(0)),
	BOTH("nil != latency_ns", R(0), R(.latency_ns = NONE64)),
	BOTH("rtt_us == nil", R(.rtt_us = NONE32), R(.rtt_us = 1)),
	BOTH("rtt_us != nil", R(.rtt_us = 1), R(.rtt_us = NONE32)),
	BOTH("latency_ns > 5", R(.latency_ns = 6), R(.latency_ns = NONE64)),
	BOTH("latency_ns < 5", R(.latency_ns = 4), R(.latency_ns = NONE64)),
	BOTH("rtt_us > 5", R(.rtt_us = 6), R(.rtt_us = NONE32)),
	BOTH("rtt_us < 5", R(.rtt_us = 4), R(.rtt_us = NONE32)),
	FAIL_("latency_ns == -1", .latency_ns = NONE64),
	FAIL_("rtt_us == 0xffffffff", .rtt_us = NONE32),
	PASS("rtt_us != 0xffffffff", .rtt_us = NONE32),
	PASS("latency_ns != 5", .latency_ns = NONE64),
	PASS("not (latency_ns > 5)", .latency_ns = NONE64),
	PASS("not (latency_ns < 5)", .latency_ns = NONE64),
	BOTH("latency_ns in {1, 5..7}", R(.latency_ns = 6), R(.latency_ns = NONE64)),
	FAIL_("latency_ns in -5..5", .latency_ns = NONE64),
	PASS("latency_ns not in -5..5", .latency_ns = NONE64),
	FAIL_("latency_ns + 1 == 0", .latency_ns = NONE64),
	PASS("latency_ns + 1 == nil", .latency_ns = NONE64),
	FAIL_("latency_ns + 1 == nil", .latency_ns = 1),
	FAIL_("latency_ns == rtt_us", .latency_ns = NONE64, .rtt_us = NONE32),
	PASS("latency_ns != rtt_us", .latency_ns = NONE64, .rtt_us = NONE32),
	FAIL_("pid < rtt_us", .rtt_us = NONE32),
	FAIL_("pid + (1 + (2 + (3 + (4 + rtt_us)))) > 0", .rtt_us = NONE32),
	/* text */
	BOTH("comm == \"nginx\"", R(.comm = "nginx"), R(.comm = "nginx2")),
	BOTH("comm == 'nginx'", R(.comm = "nginx\0garbage"), R(.comm = "ngin")),
	BOTH("'nginx' == comm", R(.comm = "nginx"), R(0)),
	BOTH("comm != \"nginx\"", R(.comm = "nginx2"), R(.comm = "nginx")),
	BOTH("comm == \"\"", R(0), R(.comm = "a")),
	BOTH("comm in {\"a\", 'bb', \"ccc\"}", R(.comm = "ccc"), R(.comm = "cc")),
	BOTH("comm not in {\"a\", 'bb'}", R(.comm = "b"), R(.comm = "bb")),
	BOTH("comm starts \"kube\"", R(.comm = "kubelet"), R(.comm = "kub")),
	BOTH("not comm starts \"kube\"", R(.comm = "kub"), R(.comm = "kube")),
	PASS("comm starts \"\"", 0),
	BOTH("comm == \"123456789012345\"", R(.comm = "123456789012345"),
	     R(.comm = "12345678901234")),
	BOTH("comm == \"1234567890123456\"", R(.comm = "123456789012345"),
	     R(.comm = "12345678901234")),
	BOTH("closer_comm starts \"12345678901234567\"", R(.closer_comm = "123456789012345"),
	     R(.closer_comm = "12345678901234")),
	BOTH("comm == closer_comm", R(.comm = "x\0y", .closer_comm = "x\0z"),
	     R(.comm = "xy", .closer_comm = "x")),
	BOTH("comm == name", R(.comm = "abcdefg", .name = "abcdefg"),
	     R(.comm = "abcdefgh", .name = "abcdefg")),
	BOTH("name == tag", R(.name = "ab", .tag = "ab"), R(.name = "abc", .tag = "ab")),
	BOTH("name == \"abcdef\"", R(.name = "abcdef"), R(.name = "abcdefg")),
	BOTH("tag == \"ab\"", R(.tag = "ab"), R(.tag = "abc")),
	BOTH("tag starts 'ab'", R(.tag = "abc"), R(.tag = "ac")),
	BOTH("comm == \"a\\\"b\\\\\\n\\x41\\'\"", R(.comm = "a\"b\\\nA'"), R(.comm = "a")),
	BOTH("comm == \"\\xc3\\xa9\"", R(.comm = "\xc3\xa9"), R(.comm = "\xc3")),
	BOTH("mac == \"\\x01\\x02\"", R(.mac = { 1, 2 }), R(.mac = { 1, 2, 0, 0, 0, 1 })),
	BOTH("mac starts \"\\x01\\x00\"", R(.mac = { 1, 0, 9 }), R(.mac = { 1, 1 })),
	BOTH("mac == mac2", R(.mac = { 1, 0, 9 }, .mac2 = { 1, 0, 9 }), R(.mac = { 1, 1 })),
	/* addresses */
	BOTH("daddr == 10.0.0.1", R(.daddr = V4(10, 0, 0, 1)), R(.daddr = V4(10, 0, 0, 2))),
	BOTH("daddr == \"10.0.0.1\"", R(.daddr = V4(10, 0, 0, 1)), R(.daddr = V4(10, 0, 0, 2))),
	BOTH("::ffff:10.0.0.1 == daddr", R(.daddr = V4(10, 0, 0, 1)), R(.daddr = { 10, 0, 0, 1 })),
	BOTH("daddr != 10.0.0.1", R(.daddr = V4(10, 0, 0, 2)), R(.daddr = V4(10, 0, 0, 1))),
	BOTH("saddr == ::1", R(.saddr = { [15] = 1 }), R(.saddr = { 1, [15] = 1 })),
	BOTH("saddr == ::", R(0), R(.saddr = { [8] = 1 })),
	BOTH("daddr in 10.0.0.0/8", R(.daddr = V4(10, 255, 1, 1)), R(.daddr = V4(11, 0, 0, 0))),
	BOTH("daddr in 10.0.0.1/8", R(.daddr = V4(10, 255, 1, 1)), R(.daddr = V4(11, 0, 0, 0))),
	BOTH("daddr in 172.16.0.0/12", R(.daddr = V4(172, 31, 1, 1)),
	     R(.daddr = V4(172, 32, 0, 0))),
	BOTH("daddr in 10.0.0.0/31", R(.daddr = V4(10, 0, 0, 1)), R(.daddr = V4(10, 0, 0, 2))),
	BOTH("daddr in 10.0.0.9", R(.daddr = V4(10, 0, 0, 9)), R(.daddr = V4(10, 0, 0, 2))),
	BOTH("daddr in 0.0.0.0/0", R(.daddr = V4(1, 2, 3, 4)), R(.daddr = { 0xfd })),
	PASS("daddr in ::/0", .daddr = { 0xfd }),
	BOTH("daddr in fd00::/8", R(.daddr = { 0xfd, 9 }), R(.daddr = { 0xfe, 9 })),
	BOTH("daddr in 2001:db8::/33", R(.daddr = { 0x20, 1, 0xd, 0xb8, 0x7f }),
	     R(.daddr = { 0x20, 1, 0xd, 0xb8, 0x80 })),
	BOTH("daddr in {10.0.0.0/8, fd00::/8, 127.0.0.1, 10.1.0.1..10.1.0.9}",
	     R(.daddr = V4(127, 0, 0, 1)), R(.daddr = V4(127, 0, 0, 2))),
	BOTH("daddr in 10.1.0.1..10.1.0.9", R(.daddr = V4(10, 1, 0, 9)),
	     R(.daddr = V4(10, 1, 0, 10))),
	BOTH("daddr in '10.1.0.1' .. '10.1.0.9'", R(.daddr = V4(10, 1, 0, 1)),
	     R(.daddr = V4(10, 1, 0, 0))),
	BOTH("daddr in fd00::5..fd00:0:0:1::2", R(.daddr = { 0xfd, [15] = 7 }),
	     R(.daddr = { 0xfd, [15] = 4 })),
	BOTH("daddr not in {10.0.0.0/8, 127.0.0.1}", R(.daddr = V4(11, 0, 0, 1)),
	     R(.daddr = V4(127, 0, 0, 1))),
	BOTH("saddr == daddr", R(.saddr = { 1 }, .daddr = { 1 }), R(.saddr = { [15] = 1 })),
	BOTH("oddaddr == saddr", R(.saddr = { 1 }, .oddaddr = { 1 }), R(.saddr = { [15] = 1 })),
	BOTH("oddaddr in 10.0.0.3..10.0.0.8", R(.oddaddr = V4(10, 0, 0, 8)),
	     R(.oddaddr = V4(10, 0, 0, 9))),
	BOTH("oddaddr == fd00::1", R(.oddaddr = { 0xfd, [15] = 1 }), R(.oddaddr = { 0xfd })),
	BOTH("v4 == 10.0.0.1", R(.v4 = { 10, 0, 0, 1 }), R(.v4 = { 10 })),
	BOTH("v4 in 10.0.0.0/8", R(.v4 = { 10, 1 }), R(.v4 = { 11 })),
	BOTH("v4 in 10.0.0.3..10.0.0.8", R(.v4 = { 10, 0, 0, 3 }), R(.v4 = { 10, 0, 0, 2 })),
	FAIL_("v4 == ::1", .v4 = { 0, 0, 0, 1 }),
	PASS("v4 in ::/0", 0),
	PASS("v4 in 0.0.0.0/0", 0),
	BOTH("v4 == v4b", R(.v4 = { 1, 2 }, .v4b = { 1, 2 }), R(.v4 = { 1 })),
	BOTH("v4 == daddr", R(.v4 = { 1, 2 }, .daddr = V4(1, 2, 0, 0)), R(.v4 = { 1 })),
	BOTH("daddr == v4", R(.v4 = { 1, 2 }, .daddr = V4(1, 2, 0, 0)), R(0)),
	/* lists */
	BOTH("dport in {80, 443, 8000..8999}", R(.dport = 8500), R(.dport = 81)),
	BOTH("dport in {80,}", R(.dport = 80), R(.dport = 81)),
	BOTH("dport in 1..1024", R(.dport = 1024), R(.dport = 1025)),
	BOTH("dport in 0..1024", R(.dport = 0), R(.dport = 1025)),
	BOTH("dport not in 1..1024", R(.dport = 0), R(.dport = 1)),
	BOTH("delta in {-5..-1, 3}", R(.delta = -3), R(.delta = 0)),
	BOTH("dport in {1, 3, 5, 7, 9, 11, 13, 15, 17, 19..23, 40, 42, 44, 46, 48, 50, 52, 54}",
	     R(.dport = 21), R(.dport = 41)),
	BOTH("dport in {54, 3, 5, 7, 9, 11, 13, 15, 17, 19..23, 40, 42, 44, 46, 48, 50, 52, 1}",
	     R(.dport = 54), R(.dport = 18)),
	BOTH("dport in {1..5, 4..9, 10, 11}", R(.dport = 10), R(.dport = 12)),
	BOTH("delta in {0x8000000000000000..-5, 0x7fffffffffffffff}", R(.delta = INT64_MAX),
	     R(.delta = 0)),
	BOTH("sport + dport in {1, 2}", R(.sport = 1, .dport = 1), R(.sport = 2, .dport = 1)),
};

#undef PASS
#undef FAIL_
#undef BOTH
#undef R

#endif
