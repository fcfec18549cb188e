/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the files of packets share.  Packets makes exactly known packets between network
 * namespaces: the process is the client, the server is its child.  They share a piece of
 * memory, in which the server says what it saw.
 */
#ifndef PACKETS_H
#define PACKETS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

#define STATUS_USAGE 2
#define STATUS_LOST  4 /* it was sent, and no answer came in time */

union addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* What the arguments say. */
struct plan {
	const char *from, *at; /* namespaces of the client and of the server */
	union addr to; /* with the port that the client sends to */
	int port, listen, sport; /* listen: the server's port, if another one (NAT) */
	int id, seq; /* of an echo request */
	int len, req, res; /* bytes of payload; of request and response */
	int n, mib;
	int dstopts; /* bytes of IPv6 destination options */
	int wait; /* ms for each answer */
};

struct server {
	pid_t pid;
	uint64_t netns;
	uint64_t packets, bytes;
	int ended; /* connections */
	bool ready, done;
	union addr peer; /* whom it saw last */
};

extern struct server *server; /* shared with the child */

/* packets_net.c. All of it ends the process with a message when something fails. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void enter_namespace(const char *path); /* NULL: stays */
uint64_t own_namespace(void); /* its inode */
void stay_on_one_cpu(void);
void addr_set(union addr *a, const char *ip, int port);
socklen_t addr_len(const union addr *a);
void print_addr(const char *key, const union addr *a); /* key_addr=, key_port= */
void option(int fd, int level, int name, int value);
int new_socket(const struct plan *p, int type);
int server_socket(const struct plan *p, int type); /* bound to where the server listens */
bool wait_readable(int fd, int ms);
bool connects(int fd, const struct plan *p); /* false: not in time, or refused: error= */
void server_start(const struct plan *p, void (*serve)(const struct plan *p));
void server_ready(void); /* by the server: it listens */
void server_end(int ms); /* waits so long until it is done, then ends it */
void print_client(const struct plan *p, int fd);
void print_server(const struct plan *p);

/* packets_modes.c, packets_stream.c: false when no answer came in time. They print facts. */
bool run_ping(const struct plan *p);
bool run_udp(const struct plan *p);
bool run_flood(const struct plan *p);
bool run_tcp(const struct plan *p);
bool run_bulk(const struct plan *p);

/* packets_tap.c: runs a command with packet sockets open; returns its exit status */
int run_tap(int argc, char **argv);

/* packets_text.c: what a frame is; cut: bytes of it that are there, vlan: 0 for none */
void frame_text(char *out, size_t size, const uint8_t *frame, size_t cut, unsigned int vlan);

#endif
