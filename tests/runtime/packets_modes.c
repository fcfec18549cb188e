// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* One echo request; one datagram; many datagrams. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "packets.h"

#define BATCH       64
#define FLOOD_QUIET 300 /* ms without a datagram, then the flood is over */
#define FLOOD_ROOM  (64 << 20)

static uint8_t buffer[65536];

/* Every request's payload is its own number in each byte. */
static void fill(int n, int value)
{
	memset(buffer, value, n);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static uint16_t checksum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? data[i] : data[i] << 8;
	sum = (sum & 0xffff) + (sum >> 16);
	return htons(~(sum + (sum >> 16)));
}

/* The header is the same for both families: type, code, checksum, id, sequence. */
static int ping_socket(const struct plan *p)
{
	bool v4 = p->to.sa.sa_family == AF_INET;
	int fd = socket(p->to.sa.sa_family, SOCK_RAW | SOCK_CLOEXEC,
			v4 ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6);

	if (fd < 0 || connect(fd, &p->to.sa, addr_len(&p->to)) < 0)
		die("a raw socket: %s", strerror(errno));
	return fd;
}

static void ping_send(const struct plan *p, int fd)
{
	struct icmphdr *icmp = (struct icmphdr *)buffer;
	bool v4 = p->to.sa.sa_family == AF_INET;

	fill(sizeof(*icmp) + p->len, p->seq);
	memset(icmp, 0, sizeof(*icmp));
	icmp->type = v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	icmp->un.echo.id = htons(p->id);
	icmp->un.echo.sequence = htons(p->seq);
	if (v4) /* of IPv6 the kernel makes it */
		icmp->checksum = checksum(buffer, sizeof(*icmp) + p->len);
	if (send(fd, buffer, sizeof(*icmp) + p->len, 0) < 0)
		die("send: %s", strerror(errno));
}

static bool is_reply(const struct plan *p, ssize_t n)
{
	bool v4 = p->to.sa.sa_family == AF_INET;
	const struct icmphdr *icmp = (void *)(buffer + (v4 ? (buffer[0] & 15) * 4 : 0));

	return n >= (ssize_t)sizeof(*icmp) &&
	       icmp->type == (v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) &&
	       icmp->un.echo.id == htons(p->id) && icmp->un.echo.sequence == htons(p->seq);
}

bool run_ping(const struct plan *p)
{
	int64_t until = now_ms() + p->wait;
	bool answered = false;
	int fd;

	enter_namespace(p->from);
	fd = ping_socket(p);
	ping_send(p, fd);
	while (!answered && now_ms() < until && wait_readable(fd, until - now_ms()))
		answered = is_reply(p, recv(fd, buffer, sizeof(buffer), 0));
	printf("mode=ping\nid=%d\nseq=%d\nlen=%d\n", p->id, p->seq, p->len);
	print_client(p, fd);
	printf("answered=%d\n", answered);
	close(fd);
	return answered;
}

/* Sends each datagram back to where it came from. */
static void serve_udp(const struct plan *p)
{
	int fd = server_socket(p, SOCK_DGRAM);

	server_ready();
	for (;;) {
		socklen_t len = sizeof(server->peer);
		ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, &server->peer.sa, &len);

		if (n < 0)
			die("the server's recv: %s", strerror(errno));
		server->packets++;
		server->bytes += n;
		if (sendto(fd, buffer, n, 0, &server->peer.sa, len) != n)
			die("the server's send: %s", strerror(errno));
	}
}

/*
 * One destination option, that for experiments, which who does not know it skips: next header,
 * length; type, length, zeros.  Padding would be no good: Linux drops what has more than 7 bytes of it.
 */
static void add_options(int fd, int n)
{
	uint8_t options[256] = { 0 };

	if (n < 8 || n % 8)
		die("dstopts is a multiple of 8, not %d", n);
	options[1] = n / 8 - 1;
	options[2] = 0x1e;
	options[3] = n - 4;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_DSTOPTS, options, n) < 0)
		die("IPV6_DSTOPTS: %s", strerror(errno));
}

bool run_udp(const struct plan *p)
{
	bool answered;
	int fd;

	server_start(p, serve_udp);
	enter_namespace(p->from);
	fd = new_socket(p, SOCK_DGRAM);
	if (p->dstopts)
		add_options(fd, p->dstopts);
	if (connect(fd, &p->to.sa, addr_len(&p->to)) < 0)
		die("connect: %s", strerror(errno));
	fill(p->len, 'u');
	if (send(fd, buffer, p->len, 0) != p->len)
		die("send: %s", strerror(errno));
	answered = wait_readable(fd, p->wait) && recv(fd, buffer, sizeof(buffer), 0) == p->len;
	server_end(0);
	printf("mode=udp\nlen=%d\n", p->len);
	print_client(p, fd);
	print_server(p);
	printf("answered=%d\n", answered);
	close(fd);
	return answered;
}

static void batch_init(struct mmsghdr *msg, struct iovec *iov, int len)
{
	*iov = (struct iovec){ .iov_base = buffer, .iov_len = len };
	for (int i = 0; i < BATCH; i++)
		msg[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = iov, .msg_iovlen = 1 } };
}

static void serve_flood(const struct plan *p)
{
	int fd = server_socket(p, SOCK_DGRAM);
	struct mmsghdr msg[BATCH];
	struct iovec iov;

	option(fd, SOL_SOCKET, SO_RCVBUFFORCE, FLOOD_ROOM);
	batch_init(msg, &iov, sizeof(buffer));
	server_ready();
	do {
		int n = recvmmsg(fd, msg, BATCH, MSG_WAITFORONE, NULL);

		for (int i = 0; i < n; i++)
			server->bytes += msg[i].msg_len;
		server->packets += n > 0 ? n : 0;
	} while (wait_readable(fd, FLOOD_QUIET));
}

bool run_flood(const struct plan *p)
{
	struct mmsghdr msg[BATCH];
	struct iovec iov;
	int fd, sent = 0;

	server_start(p, serve_flood);
	enter_namespace(p->from);
	fd = new_socket(p, SOCK_DGRAM);
	if (connect(fd, &p->to.sa, addr_len(&p->to)) < 0)
		die("connect: %s", strerror(errno));
	fill(p->len, 'f');
	batch_init(msg, &iov, p->len);
	while (sent < p->n) {
		int n = sendmmsg(fd, msg, p->n - sent < BATCH ? p->n - sent : BATCH, 0);

		if (n < 0)
			die("sendmmsg: %s", strerror(errno));
		sent += n;
	}
	server_end(p->wait + FLOOD_QUIET);
	printf("mode=flood\nlen=%d\nsent=%d\n", p->len, sent);
	print_client(p, fd);
	print_server(p);
	close(fd);
	return !p->at || server->packets > 0;
}
