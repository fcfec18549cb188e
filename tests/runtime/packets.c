// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * packets - exactly known packets between network namespaces.
 *
 *   packets ping from=NS to=ADDR [id= seq= len=]              one echo request, and the reply
 *   packets udp from=NS at=NS to=ADDR port= [sport= len= dstopts=]   one datagram, sent back
 *   packets tcp from=NS at=NS to=ADDR port= [sport= req= res=]       connect, request, response,
 *                                                             closed by the client; n= times
 *   packets bulk from=NS at=NS to=ADDR port= [mib=]           a stream
 *   packets flood from=NS at=NS to=ADDR port= [n= len=]       datagrams at full speed
 *   packets tap [dev=DEVICE] [ring] [show] NS... -- COMMAND   COMMAND, with packet sockets open
 *                                                             until quiet= ms (100) without a packet
 *   packets gro|gso|tso on|off DEVICE...                      offloads, as ethtool -K
 *
 * NS is a path, as /run/netns/x.  The server is at=; without it nobody answers but the kernel.  It
 * listens on listen= where that is not port=.  wait= is how many ms an answer is waited for.
 * Facts go to standard output, key=value.  Exit status: 0, 1 after a failure, 4 without an answer.
 *
 * With quickack on the routes, as pods.sh has it, a TCP exchange with a request and a response that
 * fit into a segment is always these 11 segments: SYN, SYN-ACK, ACK; request, ACK; response, ACK;
 * FIN, ACK; FIN, ACK.  All that is to be exact stays on one CPU, so that no packet overtakes another.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "packets.h"

static const struct key {
	const char *name;
	size_t offset;
	long max; /* of a number; 0: a text */
} keys[] = {
	{ "from", offsetof(struct plan, from), 0 },
	{ "at", offsetof(struct plan, at), 0 },
	{ "port", offsetof(struct plan, port), 65535 },
	{ "listen", offsetof(struct plan, listen), 65535 },
	{ "sport", offsetof(struct plan, sport), 65535 },
	{ "id", offsetof(struct plan, id), 65535 },
	{ "seq", offsetof(struct plan, seq), 65535 },
	{ "len", offsetof(struct plan, len), 65000 },
	{ "req", offsetof(struct plan, req), 65000 },
	{ "res", offsetof(struct plan, res), 65000 },
	{ "n", offsetof(struct plan, n), 100000000 },
	{ "mib", offsetof(struct plan, mib), 100000 },
	{ "dstopts", offsetof(struct plan, dstopts), 256 },
	{ "wait", offsetof(struct plan, wait), 60000 },
};

static const struct mode {
	const char *name;
	bool (*run)(const struct plan *p);
	bool exact;
} modes[] = {
	{ "ping", run_ping, true },  { "udp", run_udp, true },      { "tcp", run_tcp, true },
	{ "bulk", run_bulk, false }, { "flood", run_flood, false },
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct key *find_key(const char *arg, const char *eq)
{
	for (size_t i = 0; eq && i < COUNT(keys); i++) {
		if (strlen(keys[i].name) == (size_t)(eq - arg) &&
		    !strncmp(keys[i].name, arg, eq - arg))
			return &keys[i];
	}
	fprintf(stderr, "packets: no argument '%.*s' (there are: to=", (int)strcspn(arg, "="), arg);
	for (size_t i = 0; i < COUNT(keys); i++)
		fprintf(stderr, " %s=", keys[i].name);
	fputs(")\n", stderr);
	exit(STATUS_USAGE);
}

static void set_key(struct plan *p, const struct key *key, const char *value)
{
	char *end;
	long n;

	if (!key->max) {
		*(const char **)((char *)p + key->offset) = value;
		return;
	}
	n = strtol(value, &end, 10);
	if (*end || end == value || n < 0 || n > key->max) {
		fprintf(stderr, "packets: %s is 0 to %ld, not '%s'\n", key->name, key->max, value);
		exit(STATUS_USAGE);
	}
	*(int *)((char *)p + key->offset) = n;
}

static struct plan parse(char **args)
{
	struct plan p = { .len = 56, .req = 100, .res = 200, .n = 1, .mib = 1, .wait = 2000 };
	const char *to = NULL;

	p.id = getpid() & 0xffff;
	p.seq = 1;
	for (; *args; args++) {
		char *eq = strchr(*args, '=');

		if (!strncmp(*args, "to=", 3))
			to = eq + 1;
		else
			set_key(&p, find_key(*args, eq), eq + 1);
	}
	if (!to) {
		fputs("packets: to=ADDRESS is missing\n", stderr);
		exit(STATUS_USAGE);
	}
	addr_set(&p.to, to, p.port);
	return p;
}

/* What a device does with many packets as one; ethtool(8) may not be there. */
static const struct offload {
	const char *name;
	uint32_t command;
} offloads[] = { { "gro", ETHTOOL_SGRO }, { "gso", ETHTOOL_SGSO }, { "tso", ETHTOOL_STSO } };

static int run_offload(const struct offload *what, int argc, char **argv)
{
	struct ethtool_value value = { .cmd = what->command };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (argc < 2 || (strcmp(argv[0], "on") && strcmp(argv[0], "off")))
		die("%s takes on or off, and devices", what->name);
	value.data = !strcmp(argv[0], "on");
	for (int i = 1; i < argc; i++) {
		struct ifreq req = { .ifr_data = (char *)&value };

		snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", argv[i]);
		if (ioctl(fd, SIOCETHTOOL, &req) < 0)
			die("%s %s %s: %s", what->name, argv[0], argv[i], strerror(errno));
	}
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct plan p;

	if (argc > 1 && !strcmp(argv[1], "tap"))
		return run_tap(argc - 2, argv + 2);
	for (size_t i = 0; argc > 1 && i < COUNT(offloads); i++) {
		if (!strcmp(offloads[i].name, argv[1]))
			return run_offload(&offloads[i], argc - 2, argv + 2);
	}
	for (size_t i = 0; argc > 1 && i < COUNT(modes); i++) {
		if (strcmp(modes[i].name, argv[1]))
			continue;
		p = parse(argv + 2);
		if (modes[i].run != run_ping && !p.port)
			die("%s needs port=", modes[i].name);
		if (modes[i].exact)
			stay_on_one_cpu();
		return modes[i].run(&p) ? 0 : STATUS_LOST;
	}
	fputs("packets: the first argument is one of: ping udp tcp bulk flood tap gro gso tso\n",
	      stderr);
	return STATUS_USAGE;
}
