/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Values of the filters that only packets have: bpf/filter_packet.h. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include "filter.h"
#include "filter_priv.h"
#include "netdev.h"
#include "util.h"

int filter_add_ifname(struct filter *f, int kind, const struct value *v, struct err *err)
{
	struct filter_entry *e;

	if (v->type != VALUE_STR || !v->len || v->len >= IF_NAMESIZE)
		return filter_expected("ifname", "the name of a network interface", v, err);
	if (!netdev_exists(v->s)) {
		err_set(err, -ENODEV, "filter \"ifname\": there is no interface \"%s\"", v->s);
		err_hint(err, "ip link, and ip -n NETNS link, list them; all namespaces were "
			      "searched");
		return -ENODEV;
	}
	e = filter_new_entry(f, kind, err);
	if (!e)
		return err->code;
	memcpy(e->value, v->s, v->len);
	return 0;
}

/* The numbers of enum packet_family (bpf/skb.h). */
int filter_add_packet_family(struct filter *f, int kind, const struct value *v, struct err *err)
{
	static const struct {
		const char *name;
		uint64_t number;
	} known[] = { { "ipv4", 2 }, { "ipv6", 10 }, { "arp", 1 }, { "other", 0 } };

	for (size_t i = 0; v->type == VALUE_STR && i < ARRAY_SIZE(known); i++)
		if (str_eq(known[i].name, v->s))
			return filter_add_int(f, kind, known[i].number, err);
	return filter_expected("family", "\"ipv4\", \"ipv6\", \"arp\" or \"other\"", v, err);
}

/* "tcp", "icmpv6" or a number: the names of enum proto (bpf/skb.h). */
int filter_add_proto(struct filter *f, int kind, const struct value *v, struct err *err)
{
	static const struct {
		const char *name;
		uint64_t number;
	} known[] = {
		{ "tcp", 6 },  { "udp", 17 },   { "icmp", 1 },  { "icmpv6", 58 },
		{ "igmp", 2 }, { "ipip", 4 },   { "gre", 47 },  { "esp", 50 },
		{ "ah", 51 },  { "sctp", 132 }, { "ipv6", 41 },
	};

	if (v->type == VALUE_INT && v->i >= 0 && v->i <= 255)
		return filter_add_int(f, kind, (uint64_t)v->i, err);
	for (size_t i = 0; v->type == VALUE_STR && i < ARRAY_SIZE(known); i++)
		if (str_eq(known[i].name, v->s))
			return filter_add_int(f, kind, known[i].number, err);
	return filter_expected("proto", "a protocol like \"tcp\", \"icmpv6\", or its number", v,
			       err);
}
