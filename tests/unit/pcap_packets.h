/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* pcap_packets.h - packets as they are on the wire, made part by part. */
#ifndef BPFNET_TEST_PCAP_PACKETS_H
#define BPFNET_TEST_PCAP_PACKETS_H

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PACKET_MAX 512
#define ETHER_LEN  14

struct packet {
	uint8_t bytes[PACKET_MAX];
	unsigned len;
};

static struct packet packets[64];
static int nr_packets;

static void put(const void *bytes, unsigned n)
{
	struct packet *p = &packets[nr_packets];

	memcpy(p->bytes + p->len, bytes, n);
	p->len += n;
}

static void put8(unsigned value)
{
	uint8_t byte = (uint8_t)value;

	put(&byte, 1);
}

static void put16(unsigned value)
{
	put8(value >> 8);
	put8(value);
}

static void put_addr(int family, const char *text)
{
	uint8_t addr[16];

	inet_pton(family, text, addr);
	put(addr, family == AF_INET ? 4 : 16);
}

static void ether(unsigned type)
{
	put("\x02\x00\x00\x00\x00\x01", 6);
	put("\x02\x00\x00\x00\x00\x02", 6);
	put16(type);
}

static void vlan(unsigned id, unsigned type)
{
	put16(0x2000 | id);
	put16(type);
}

/* fragment: as in the header, with its flags; options: so many words of it */
static void ip4(unsigned proto, const char *from, const char *to, unsigned fragment,
		unsigned options)
{
	put8(0x45 + options);
	put8(0x10);
	put16(120);
	put16(4711);
	put16(fragment);
	put8(64);
	put8(proto);
	put16(0xabcd);
	put_addr(AF_INET, from);
	put_addr(AF_INET, to);
	for (unsigned i = 0; i < options; i++)
		put("\x01\x01\x01\x01", 4);
}

static void ip6(unsigned next, const char *from, const char *to)
{
	put("\x60\x00\x00\x00", 4);
	put16(80);
	put8(next);
	put8(64);
	put_addr(AF_INET6, from);
	put_addr(AF_INET6, to);
}

static void tcp(unsigned sport, unsigned dport, unsigned flags, unsigned options)
{
	put16(sport);
	put16(dport);
	put("\x00\x00\x10\x00\xff\x00\x00\x01", 8);
	put8((5 + options) << 4);
	put8(flags);
	put("\x20\x00\x12\x34\x00\x00", 6);
	for (unsigned i = 0; i < options; i++)
		put("\x01\x01\x08\x0a", 4);
}

static void udp(unsigned sport, unsigned dport)
{
	put16(sport);
	put16(dport);
	put16(8 + 20);
	put16(0);
}

static void icmp(unsigned type, unsigned code)
{
	put8(type);
	put8(code);
	put("\xbe\xef\x00\x01\x00\x02", 6);
}

static void end(const char *payload)
{
	put(payload, (unsigned)strlen(payload));
	nr_packets++;
}

#define TCP4(sport, dport, flags, options, payload)                                                \
	(ether(0x0800), ip4(6, "10.0.0.1", "10.0.0.2", 0x4000, 0),                                 \
	 tcp(sport, dport, flags, options), end(payload))
#define UDP4(sport, dport, from, to)                                                               \
	(ether(0x0800), ip4(17, from, to, 0, 0), udp(sport, dport), end("a datagram"))

static void make_ip4(void)
{
	TCP4(34567, 80, 0x18, 0, "GET / HTTP/1.1\r\n");
	TCP4(34567, 80, 0x18, 3, "GET /index.html HTTP/1.1\r\n");
	TCP4(443, 50000, 0x12, 5, "");
	TCP4(50000, 443, 0x02, 5, "");
	TCP4(50000, 443, 0x10, 0, "");
	TCP4(50000, 443, 0x04, 0, "");
	TCP4(22, 1023, 0x11, 0, "SSH-2.0");
	TCP4(80, 34567, 0x18, 0, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: none\r\n\r\n");
	UDP4(5353, 53, "192.168.1.7", "8.8.8.8");
	UDP4(53, 5353, "8.8.8.8", "192.168.1.7");
	UDP4(68, 67, "0.0.0.0", "255.255.255.255");
	UDP4(4000, 4789, "10.0.0.1", "224.0.0.251");
	ether(0x0800), ip4(1, "10.1.2.3", "10.0.0.2", 0, 0), icmp(8, 0), end("ping");
	ether(0x0800), ip4(1, "10.1.2.3", "10.0.0.2", 0, 0), icmp(3, 4), end("too big");
	/* options of IP, so that ports are elsewhere */
	ether(0x0800), ip4(6, "10.0.0.1", "10.0.0.2", 0, 3), tcp(80, 443, 0x10, 0), end("x");
	ether(0x0800), ip4(17, "10.0.0.1", "10.0.0.2", 0, 10), udp(53, 53), end("x");
	/* the first fragment has ports, the others have none */
	ether(0x0800), ip4(17, "10.0.0.1", "10.0.0.2", 0x2000, 0), udp(53, 53), end("x");
	ether(0x0800), ip4(17, "10.0.0.1", "10.0.0.2", 0x2010, 0), udp(53, 53), end("x");
	ether(0x0800), ip4(6, "10.0.0.1", "10.0.0.2", 0x0010, 0), tcp(80, 80, 2, 0), end("");
	ether(0x0800), ip4(132, "10.0.0.1", "10.0.0.2", 0, 0), udp(80, 80), end("sctp");
	ether(0x0800), ip4(47, "10.0.0.1", "10.0.0.2", 0, 0), end("gre?");
	/* the length of the header is a lie */
	ether(0x0800), put8(0x42), end("0123456789012345678901234567");
}

static void make_ip6(void)
{
	ether(0x86dd), ip6(6, "fd00::1", "fd00::2"), tcp(50000, 443, 2, 2), end("");
	ether(0x86dd), ip6(6, "fd00::1", "fd00::2"), tcp(443, 50000, 0x18, 0), end("hello");
	ether(0x86dd), ip6(17, "fe80::1", "ff02::fb"), udp(5353, 5353), end("mdns");
	ether(0x86dd), ip6(58, "fe80::1", "ff02::1"), icmp(135, 0), end("who");
	/* a fragment, and a header in between */
	ether(0x86dd), ip6(44, "fd00::1", "fd00::2"), put("\x11\0\0\0\0\0\0\1", 8);
	udp(53, 53), end("x");
	ether(0x86dd), ip6(0, "fd00::1", "fd00::2"), put("\x06\0\x01\x04\0\0\0\0", 8);
	tcp(80, 80, 2, 0), end("x");
}

static void make_other(void)
{
	ether(0x0806), put("\0\1\x08\0\6\4\0\1\2\0\0\0\0\2\x0a\0\0\1\0\0\0\0\0\0\x0a\0\0\2", 28),
		end("");
	ether(0x8100), vlan(100, 0x0800), ip4(6, "10.0.0.1", "10.0.0.2", 0, 0);
	tcp(443, 50000, 0x18, 0), end("tagged");
	ether(0x8100), vlan(7, 0x86dd), ip6(17, "fd00::1", "fd00::2"), udp(53, 53), end("tagged");
	ether(0x88a8), vlan(5, 0x8100), vlan(100, 0x0800), ip4(17, "10.0.0.1", "10.0.0.2", 0, 0);
	udp(53, 53), end("twice");
	ether(0x8847), put("\x00\x06\x41\x40", 4), ip4(6, "10.0.0.1", "10.0.0.2", 0, 0);
	tcp(80, 80, 2, 0), end("mpls");
	ether(0x8864), put("\x11\x00\x00\x01\x00\x30\x00\x21", 8),
		ip4(17, "10.0.0.1", "10.0.0.2", 0, 0);
	udp(53, 53), end("pppoe");
	put("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x02\x00\x26\x42\x42\x03", 17), end("stp");
	put("\x01\x80\xc2\x00\x00\x00\x02\x00\x00\x00\x00\x02\x88\xcc", 14), end("lldp");
	end("");
	end("short");
}

/* What is real, and as much that is nearly so, the same in each run. */
static void make_packets(void)
{
	int real;

	nr_packets = 0;
	make_ip4();
	make_ip6();
	make_other();
	real = nr_packets;
	srand48(1);
	while (nr_packets < 64) {
		struct packet *p = &packets[nr_packets++];

		*p = packets[lrand48() % real];
		for (int i = 0; i < 4 && p->len; i++)
			p->bytes[lrand48() % p->len] = (uint8_t)lrand48();
	}
}

#endif
