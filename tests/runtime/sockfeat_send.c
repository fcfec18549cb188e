// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What a writer asks for and sees: when messages leave, what was counted, options of the socket. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sockfeat.h"

static int outq(int fd)
{
	int n = -1;

	ioctl(fd, SIOCOUTQ, &n);
	return n;
}

void run_outq(void)
{
	static char data[65536];
	struct pair p = warm_pair();
	ssize_t n;

	say("SIOCOUTQ=%d", outq(p.client));
	put(p.client, "data");
	settle();
	/* TCP acknowledges what nobody reads a little later. */
	for (int i = 0; i < 100 && outq(p.client); i++)
		msleep(20);
	say("SIOCOUTQ of unread data=%d", outq(p.client));
	do {
		n = send(p.client, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n > 0);
	settle();
	say("SIOCOUTQ of a full socket %s", outq(p.client) ? "above 0" : "is 0");
}

static struct tcp_info tcp_info(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		die("TCP_INFO: %s", strerror(errno));
	return info;
}

/* Ten messages one way. */
void run_tcp_info(void)
{
	struct pair p = warm_pair();
	struct tcp_info c = tcp_info(p.client), s = tcp_info(p.server), c2, s2;
	char data[100];

	memset(data, 'x', sizeof(data));
	for (int i = 0; i < 10; i++) {
		put_bytes(p.client, data, sizeof(data));
		get_bytes(p.server, data, sizeof(data));
	}
	settle();
	c2 = tcp_info(p.client);
	s2 = tcp_info(p.server);
	say("state %d and %d", c2.tcpi_state, s2.tcpi_state);
	say("bytes_sent +%llu", c2.tcpi_bytes_sent - c.tcpi_bytes_sent);
	say("bytes_acked +%llu", c2.tcpi_bytes_acked - c.tcpi_bytes_acked);
	say("bytes_received +%llu", s2.tcpi_bytes_received - s.tcpi_bytes_received);
	say("data_segs_out +%u", c2.tcpi_data_segs_out - c.tcpi_data_segs_out);
	say("data_segs_in +%u", s2.tcpi_data_segs_in - s.tcpi_data_segs_in);
	say("notsent %u; unacked %u", c2.tcpi_notsent_bytes, c2.tcpi_unacked);
}

/* Corked data waits at most 200 ms. */
static bool readable_at_once(const struct pair *p)
{
	return polled(p->server, POLLIN, 40);
}

void run_cork(void)
{
	struct pair p = warm_pair();

	option(p.client, IPPROTO_TCP, TCP_CORK, 1);
	put(p.client, "abc");
	put(p.client, "def");
	say("there while corked=%d", readable_at_once(&p));
	option(p.client, IPPROTO_TCP, TCP_CORK, 0);
	settle();
	say_recv_wait("recv", p.server, 100, 0);
}

void run_more(void)
{
	struct pair p = warm_pair();

	/* Without TCP_NODELAY, which sends at once whatever is to come. */
	option(p.client, IPPROTO_TCP, TCP_NODELAY, 0);
	say_send("send with MSG_MORE", p.client, "abc", MSG_MORE);
	say("there=%d", readable_at_once(&p));
	say_send("send", p.client, "def", 0);
	settle();
	say_recv_wait("recv", p.server, 100, 0);
}

/* Two small messages. */
static void two_small(bool nodelay)
{
	struct pair p = warm_pair();
	char data[3] = "";
	double from;

	option(p.client, IPPROTO_TCP, TCP_NODELAY, nodelay);
	from = now();
	put(p.client, "a");
	put(p.client, "b");
	get_bytes(p.server, data, 2);
	note("time_us", (now() - from) * 1e6);
	say("recv '%s'", data);
	say("within a second=%d", now() - from < 1);
}

void run_nagle(void)
{
	two_small(false);
}

void run_nodelay(void)
{
	two_small(true);
}

static int got_option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, level, name, &value, &len) < 0)
		die("getsockopt %d %d: %s", level, name, strerror(errno));
	return value;
}

void run_mark(void)
{
	struct pair p = warm_pair();

	option(p.client, SOL_SOCKET, SO_MARK, 7);
	option(p.client, SOL_SOCKET, SO_PRIORITY, 3);
	say("SO_MARK=%d; SO_PRIORITY=%d", got_option(p.client, SOL_SOCKET, SO_MARK),
	    got_option(p.client, SOL_SOCKET, SO_PRIORITY));
	say_exchange("then", &p);
}

void run_busy_poll(void)
{
	struct pair p = warm_pair();
	int us = 50;

	if (setsockopt(p.server, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof(us)) < 0)
		skip("no SO_BUSY_POLL: %s", strerrorname_np(errno));
	say("SO_BUSY_POLL=%d", got_option(p.server, SOL_SOCKET, SO_BUSY_POLL));
	say_exchange("then", &p);
	say_recv("recv without data", p.server, 1, MSG_DONTWAIT);
}

void run_names(void)
{
	struct pair p = pair_new();
	int c = port_of(p.client, false), s = port_of(p.server, false);

	warm_up(&p);
	say("client's own the same=%d, peer's=%d", port_of(p.client, false) == c,
	    port_of(p.client, true) == s);
	say("server's own the same=%d, peer's=%d", port_of(p.server, false) == s,
	    port_of(p.server, true) == c);
	say("SO_TYPE=%d; SO_PROTOCOL=%d; SO_DOMAIN=%d", got_option(p.client, SOL_SOCKET, SO_TYPE),
	    got_option(p.client, SOL_SOCKET, SO_PROTOCOL),
	    got_option(p.client, SOL_SOCKET, SO_DOMAIN));
}

static unsigned int queue_seq(int fd, int queue)
{
	unsigned int seq = 0;
	socklen_t len = sizeof(seq);

	option(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);
	if (getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, &len) < 0)
		die("TCP_QUEUE_SEQ: %s", strerror(errno));
	return seq;
}

/* What a checkpoint reads: where the queues are, and what is in them. */
void run_repair(void)
{
	struct pair p = warm_pair();
	unsigned int recv_seq;
	char data[100];
	ssize_t n;

	option(p.server, IPPROTO_TCP, TCP_REPAIR, 1);
	recv_seq = queue_seq(p.server, TCP_RECV_QUEUE);
	option(p.server, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
	put(p.client, "hello");
	settle();
	option(p.server, IPPROTO_TCP, TCP_REPAIR, 1);
	say("its sequence number +%u", queue_seq(p.server, TCP_RECV_QUEUE) - recv_seq);
	n = recv(p.server, data, sizeof(data), MSG_PEEK | MSG_DONTWAIT);
	say_text("peek at the receive queue", n, errno, data);
	option(p.server, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
	say_recv("recv", p.server, 100, 0);
	say_exchange("then", &p);
}
