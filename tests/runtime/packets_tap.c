// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Packet sockets held open while a command runs: as tcpdump's, on one device or all of a namespace,
 * with the kernel's ring or without. With "show", every packet is printed in the end, namespace by
 * namespace, in the order in which it came by there:
 *
 *   packet=HOST va in udp 10.1.0.2 4000 10.1.0.3 80 - 56
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "packets.h"

#define MAX_TAPS   8
#define SNAP       256 /* bytes of a packet that are looked at */
#define BLOCK_SIZE 65536
#define BLOCKS     64
#define FRAME_SIZE 2048
#define FRAMES     (BLOCKS * BLOCK_SIZE / FRAME_SIZE)

static struct tap {
	const char *name;
	int fd, ns;
	uint8_t *ring; /* NULL: without */
	unsigned int next; /* frame of the ring */
	unsigned long packets;
	char *text;
	size_t size;
	FILE *shown; /* NULL: not wanted */
} taps[MAX_TAPS];
static int ntaps;
static int quiet_ms = 100; /* so long without a packet after the command's end: all have come */

/* Devices have their names only in their namespace. */
static void packet_came(struct tap *t, const struct sockaddr_ll *from, const uint8_t *frame,
			size_t cut, unsigned int vlan)
{
	char dev[IF_NAMESIZE] = "?", text[200];

	t->packets++;
	if (!t->shown)
		return;
	if (setns(t->ns, CLONE_NEWNET) < 0)
		die("setns: %s", strerror(errno));
	if_indextoname(from->sll_ifindex, dev);
	frame_text(text, sizeof(text), frame, cut, vlan);
	fprintf(t->shown, "packet=%s %s %s %s\n", t->name, dev,
		from->sll_pkttype == PACKET_OUTGOING ? "out" : "in", text);
}

static void open_ring(struct tap *t)
{
	struct tpacket_req req = { BLOCK_SIZE, BLOCKS, FRAME_SIZE, FRAMES };

	option(t->fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
	if (setsockopt(t->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) < 0)
		die("PACKET_RX_RING: %s", strerror(errno));
	t->ring = mmap(NULL, (size_t)BLOCKS * BLOCK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd,
		       0);
	if (t->ring == MAP_FAILED)
		die("the packet ring: %s", strerror(errno));
}

static void open_tap(const char *path, const char *dev, bool ring, bool show)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct tap *t = &taps[ntaps++];

	if (ntaps > MAX_TAPS)
		die("tap takes at most %d namespaces", MAX_TAPS);
	enter_namespace(path);
	t->name = strrchr(path, '-') ? strrchr(path, '-') + 1 : path;
	t->ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	t->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (t->fd < 0)
		die("a packet socket: %s", strerror(errno));
	if (dev && !(to.sll_ifindex = if_nametoindex(dev)))
		die("no device %s in %s", dev, path);
	option(t->fd, SOL_PACKET, PACKET_AUXDATA, 1);
	option(t->fd, SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20);
	if (ring)
		open_ring(t);
	if (show)
		t->shown = open_memstream(&t->text, &t->size);
	if (bind(t->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("bind to %s: %s", dev ? dev : "all devices", strerror(errno));
}

static bool read_ring(struct tap *t)
{
	bool any = false;

	for (;; t->next = (t->next + 1) % FRAMES) {
		struct tpacket2_hdr *h = (void *)(t->ring + (size_t)t->next * FRAME_SIZE);
		uint8_t *frame = (uint8_t *)h + h->tp_mac;

		if (!(__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			return any;
		packet_came(t, (void *)((uint8_t *)h + TPACKET_ALIGN(sizeof(*h))), frame,
			    h->tp_snaplen,
			    h->tp_status & TP_STATUS_VLAN_VALID ? h->tp_vlan_tci & 0xfff : 0);
		__atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		any = true;
	}
}

static unsigned int vlan_of(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	const struct tpacket_auxdata *aux = c ? (void *)CMSG_DATA(c) : NULL;

	return aux && aux->tp_status & TP_STATUS_VLAN_VALID ? aux->tp_vlan_tci & 0xfff : 0;
}

static bool read_socket(struct tap *t)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} control;
	/* what follows the 14 bytes of its first header is aligned */
	uint8_t room[SNAP + 2] __attribute__((aligned(16))), *frame = room + 2;
	struct sockaddr_ll from;
	struct iovec iov = { frame, SNAP };
	struct msghdr msg = { .msg_name = &from, .msg_iov = &iov, .msg_iovlen = 1 };
	bool any = false;
	ssize_t n;

	for (;; any = true) {
		msg.msg_namelen = sizeof(from);
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		n = recvmsg(t->fd, &msg, MSG_DONTWAIT);
		if (n < 0)
			return any;
		packet_came(t, &from, frame, n, vlan_of(&msg));
	}
}

static bool read_all(void)
{
	bool any = false;

	for (int i = 0; i < ntaps; i++)
		any |= taps[i].ring ? read_ring(&taps[i]) : read_socket(&taps[i]);
	return any;
}

/* Reads until the command has ended and nothing more comes; returns the command's status. */
static int watch(pid_t pid)
{
	struct pollfd polls[MAX_TAPS];
	int status = 0, idle = 0;

	for (int i = 0; i < ntaps; i++)
		polls[i] = (struct pollfd){ .fd = taps[i].fd, .events = POLLIN };
	while (pid || idle < quiet_ms) {
		poll(polls, ntaps, 10);
		idle = read_all() ? 0 : idle + 10;
		if (pid && waitpid(pid, &status, WNOHANG) == pid)
			pid = idle = 0;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void print_tap(struct tap *t)
{
	struct tpacket_stats stats = { 0 };
	socklen_t len = sizeof(stats);

	getsockopt(t->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len);
	printf("tap_%s_packets=%lu\ntap_%s_lost=%u\n", t->name, t->packets, t->name,
	       stats.tp_drops);
	if (!t->shown)
		return;
	fclose(t->shown);
	fputs(t->text, stdout);
	free(t->text);
}

int run_tap(int argc, char **argv)
{
	bool ring = false, show = false;
	const char *dev = NULL;
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), status;
	pid_t pid;

	for (; argc > 0 && strcmp(*argv, "--"); argc--, argv++) {
		if (!strncmp(*argv, "dev=", 4))
			dev = *argv + 4;
		else if (!strncmp(*argv, "quiet=", 6))
			quiet_ms = atoi(*argv + 6);
		else if (!strcmp(*argv, "ring"))
			ring = true;
		else if (!strcmp(*argv, "show"))
			show = true;
		else
			open_tap(*argv, dev, ring, show);
	}
	if (argc < 2 || !ntaps)
		die("tap takes [dev=DEVICE] [quiet=MS] [ring] [show] NAMESPACE... -- COMMAND...");
	if (setns(home, CLONE_NEWNET) < 0 || (pid = fork()) < 0)
		die("starting %s: %s", argv[1], strerror(errno));
	if (!pid) {
		execvp(argv[1], argv + 1);
		die("%s: %s", argv[1], strerror(errno));
	}
	status = watch(pid);
	printf("tap_pid=%d\n", getpid());
	for (int i = 0; i < ntaps; i++)
		print_tap(&taps[i]);
	return status;
}
