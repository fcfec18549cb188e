// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A frame in words: protocol, source and its port, destination and its port, what it is (TCP flags
 * as S A F R P, of echoes the sequence number), bytes of payload. So "udp 10.1.0.2 4000 10.1.0.3 80 - 56".
 * The first fragment of a datagram has "MF"; of the others there are no ports, but "+" and the offset.
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#include "packets.h"

struct packet {
	char saddr[INET6_ADDRSTRLEN], daddr[INET6_ADDRSTRLEN];
	const char *name;
	unsigned int sport, dport;
	char what[16];
	int proto;
	unsigned int offset; /* of a fragment */
	bool more;
	const uint8_t *l4;
	int len, there; /* from l4 on: bytes of it, and how many of them were captured */
};

static void read_ip4(struct packet *k, const uint8_t *at, size_t there)
{
	const struct ip *ip = (const void *)at;
	int head = ip->ip_hl * 4;

	inet_ntop(AF_INET, &ip->ip_src, k->saddr, sizeof(k->saddr));
	inet_ntop(AF_INET, &ip->ip_dst, k->daddr, sizeof(k->daddr));
	k->proto = ip->ip_p;
	k->offset = (ntohs(ip->ip_off) & IP_OFFMASK) * 8;
	k->more = ntohs(ip->ip_off) & IP_MF;
	k->l4 = at + head;
	k->len = ntohs(ip->ip_len) - head;
	k->there = (int)there - head;
}

/* Steps over the extension headers; all of them begin with the next one's number and a length. */
static void read_ip6(struct packet *k, const uint8_t *at, size_t there)
{
	const struct ip6_hdr *ip = (const void *)at;

	inet_ntop(AF_INET6, &ip->ip6_src, k->saddr, sizeof(k->saddr));
	inet_ntop(AF_INET6, &ip->ip6_dst, k->daddr, sizeof(k->daddr));
	k->proto = ip->ip6_nxt;
	k->l4 = at + sizeof(*ip);
	k->len = ntohs(ip->ip6_plen);
	k->there = (int)there - (int)sizeof(*ip);
	while (k->there >= 8 && (k->proto == IPPROTO_DSTOPTS || k->proto == IPPROTO_HOPOPTS ||
				 k->proto == IPPROTO_FRAGMENT)) {
		const struct ip6_frag *f = (const void *)k->l4;
		int head = k->proto == IPPROTO_FRAGMENT ? 8 : (k->l4[1] + 1) * 8;

		if (k->proto == IPPROTO_FRAGMENT) {
			k->offset = ntohs(f->ip6f_offlg & IP6F_OFF_MASK);
			k->more = f->ip6f_offlg & IP6F_MORE_FRAG;
		}
		k->proto = k->l4[0];
		k->l4 += head;
		k->len -= head;
		k->there -= head;
	}
}

static void read_tcp(struct packet *k)
{
	static const struct {
		uint8_t bit;
		char letter;
	} flags[] = {
		{ TH_SYN, 'S' }, { TH_FIN, 'F' }, { TH_RST, 'R' }, { TH_PUSH, 'P' }, { TH_ACK, 'A' }
	};
	const struct tcphdr *tcp = (const void *)k->l4;
	char *out = k->what;

	k->name = "tcp";
	k->sport = ntohs(tcp->th_sport);
	k->dport = ntohs(tcp->th_dport);
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		if (tcp->th_flags & flags[i].bit)
			*out++ = flags[i].letter;
	}
	*out = 0;
	k->len -= tcp->th_off * 4;
}

static void read_icmp(struct packet *k)
{
	static const char *const echo[] = { "request", "reply" };
	const struct icmphdr *icmp = (const void *)k->l4;
	int reply = icmp->type == ICMP_ECHOREPLY || icmp->type == ICMP6_ECHO_REPLY;

	k->name = k->proto == IPPROTO_ICMP ? "icmp" : "icmp6";
	if (reply || icmp->type == ICMP_ECHO || icmp->type == ICMP6_ECHO_REQUEST)
		snprintf(k->what, sizeof(k->what), "%s%d", echo[reply],
			 ntohs(icmp->un.echo.sequence));
	else
		snprintf(k->what, sizeof(k->what), "type%d", icmp->type);
	k->len -= sizeof(*icmp);
}

static void read_l4(struct packet *k)
{
	const struct udphdr *udp = (const void *)k->l4;

	if (k->proto == IPPROTO_TCP && k->there >= (int)sizeof(struct tcphdr)) {
		read_tcp(k);
	} else if (k->proto == IPPROTO_UDP && k->there >= (int)sizeof(*udp)) {
		k->name = "udp";
		k->sport = ntohs(udp->uh_sport);
		k->dport = ntohs(udp->uh_dport);
		k->len -= sizeof(*udp);
	} else if ((k->proto == IPPROTO_ICMP || k->proto == IPPROTO_ICMPV6) &&
		   k->there >= (int)sizeof(struct icmphdr)) {
		read_icmp(k);
	}
}

void frame_text(char *out, size_t size, const uint8_t *frame, size_t cut, unsigned int vlan)
{
	const struct ether_header *eth = (const void *)frame;
	int type = cut >= sizeof(*eth) ? ntohs(eth->ether_type) : 0;
	struct packet k = { .name = "ip", .what = "-" };
	int n;

	if (type == ETHERTYPE_IP && cut >= sizeof(*eth) + sizeof(struct ip)) {
		read_ip4(&k, frame + sizeof(*eth), cut - sizeof(*eth));
	} else if (type == ETHERTYPE_IPV6 && cut >= sizeof(*eth) + sizeof(struct ip6_hdr)) {
		read_ip6(&k, frame + sizeof(*eth), cut - sizeof(*eth));
	} else {
		snprintf(out, size, "ether 0x%04x", type);
		return;
	}
	if (k.offset) {
		k.name = "fragment";
		snprintf(k.what, sizeof(k.what), "+%u", k.offset);
	} else {
		read_l4(&k);
	}
	n = snprintf(out, size, "%s %s %u %s %u %s%s %d", k.name, k.saddr, k.sport, k.daddr,
		     k.dport, k.what, k.more && !k.offset ? ",MF" : "", k.len);
	if (vlan && n > 0 && (size_t)n < size)
		snprintf(out + n, size - n, " vlan=%u", vlan);
}
