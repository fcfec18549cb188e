// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What comes beside the data: control messages, times, urgent data. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "sockfeat.h"

#define RECENT_SECONDS 60

static void say_time(const char *name, long seconds)
{
	long age = time(NULL) - seconds;

	say("%s %s", name, age >= -1 && age < RECENT_SECONDS ? "recent" : "of another time");
}

static void say_cmsg(struct cmsghdr *cm)
{
	struct timespec ts;
	int value;

	if (cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_TIMESTAMP) {
		struct timeval tv;

		memcpy(&tv, CMSG_DATA(cm), sizeof(tv));
		say_time("SCM_TIMESTAMP", tv.tv_sec);
	} else if (cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_TIMESTAMPNS) {
		memcpy(&ts, CMSG_DATA(cm), sizeof(ts));
		say_time("SCM_TIMESTAMPNS", ts.tv_sec);
	} else if (cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_TIMESTAMPING) {
		memcpy(&ts, CMSG_DATA(cm), sizeof(ts));
		say_time("SCM_TIMESTAMPING", ts.tv_sec);
	} else if (cm->cmsg_level == IPPROTO_TCP && cm->cmsg_type == TCP_CM_INQ) {
		memcpy(&value, CMSG_DATA(cm), sizeof(value));
		say("TCP_CM_INQ %d", value);
	}
}

/* A recvmsg() with all that comes beside. */
static void say_recvmsg(int fd, size_t size, int flags)
{
	char data[256];
	union {
		char space[512];
		struct cmsghdr align;
	} control;
	struct iovec iov = { data, size };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &msg, flags | MSG_DONTWAIT);
	struct cmsghdr *cm;

	say_text("recvmsg", n, errno, data);
	if (n < 0)
		return;
	for (cm = CMSG_FIRSTHDR(&msg); cm; cm = CMSG_NXTHDR(&msg, cm))
		say_cmsg(cm);
}

void run_tcp_inq(void)
{
	struct pair p = pair_with(true, IPPROTO_TCP, TCP_INQ, 1);

	put(p.client, "hello");
	settle();
	put(p.client, "world");
	settle();
	say_recvmsg(p.server, 4, 0);
	say_recvmsg(p.server, 100, 0);
}

/* The kernel switches time stamps on in a thread, which takes long on a busy machine: till a segment has one. */
static void wait_for_timestamps(void)
{
	struct pair p = pair_new();
	char data[8], control[256];
	size_t found = 0;

	option(p.server, SOL_SOCKET, SO_TIMESTAMP, 1);
	for (int tries = 0; tries < 500 && !found; tries++) {
		struct iovec iov = { data, sizeof(data) };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = sizeof(control) };

		put(p.client, "when");
		settle();
		found = recvmsg(p.server, &msg, MSG_DONTWAIT) > 0 ? msg.msg_controllen : 0;
	}
	close(p.client);
	close(p.server);
	close(p.listener);
}

static void timestamp(int name, int value)
{
	struct pair p = pair_with(true, SOL_SOCKET, name, value);

	wait_for_timestamps();
	put(p.client, "hello");
	settle();
	say_recvmsg(p.server, 100, 0);
}

void run_timestamp(void)
{
	timestamp(SO_TIMESTAMP, 1);
}

void run_timestampns(void)
{
	timestamp(SO_TIMESTAMPNS, 1);
}

void run_rx_timestamping(void)
{
	timestamp(SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
}

/* The times at which a message was sent and acknowledged. */
void run_tx_timestamping(void)
{
	struct pair p = pair_with(false, SOL_SOCKET, SO_TIMESTAMPING,
				  SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK |
					  SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY);

	while (before && recv(p.client, NULL, 0, MSG_ERRQUEUE | MSG_DONTWAIT) == 0)
		; /* those of the turns */
	put(p.client, "hello");
	settle();
	say_recv_wait("recv", p.server, 100, 0);
	settle();
	say_polled("poll", p.client, POLLIN);
	say_recvmsg(p.client, 100, MSG_ERRQUEUE);
	say_recvmsg(p.client, 100, MSG_ERRQUEUE);
	say_recvmsg(p.client, 100, MSG_ERRQUEUE);
}

static void say_mark(int fd)
{
	int mark = -1;

	ioctl(fd, SIOCATMARK, &mark);
	say("SIOCATMARK=%d", mark);
}

static void send_urgent(const struct pair *p)
{
	put(p->client, "ab");
	settle();
	say_send("send urgent", p->client, "X", MSG_OOB);
	settle();
	put(p->client, "cd");
	settle();
}

void run_oob(void)
{
	struct pair p = warm_pair();

	say_recv("urgent before there is", p.server, 1, MSG_OOB | MSG_DONTWAIT);
	send_urgent(&p);
	say_mark(p.server);
	say_recv("recv", p.server, 100, 0);
	say_mark(p.server);
	say_recv("urgent", p.server, 1, MSG_OOB);
	say_recv("recv", p.server, 100, MSG_DONTWAIT);
	say_mark(p.server);
}

void run_oob_inline(void)
{
	struct pair p = pair_with(true, SOL_SOCKET, SO_OOBINLINE, 1);

	send_urgent(&p);
	say_recv("recv", p.server, 100, 0);
	say_mark(p.server);
	say_recv("urgent", p.server, 1, MSG_OOB | MSG_DONTWAIT);
	say_recv("recv", p.server, 100, MSG_DONTWAIT);
	say_mark(p.server);
}

void run_oob_poll(void)
{
	struct pair p = warm_pair();

	say_polled("poll", p.server, POLLIN | POLLPRI);
	say_send("send urgent", p.client, "X", MSG_OOB);
	settle();
	say_polled("poll", p.server, POLLIN | POLLPRI);
	say_recv("urgent", p.server, 1, MSG_OOB | MSG_DONTWAIT);
	say_polled("poll", p.server, POLLIN | POLLPRI);
}
