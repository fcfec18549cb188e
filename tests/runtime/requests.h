/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* requests.h - what the parts of `requests` share; what it is for: requests.c. */
#ifndef REQUESTS_H
#define REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NS_PER_US  1000ULL
#define NS_PER_SEC 1000000000ULL

/* How each message begins; the rest of it is filler. */
struct message {
	uint32_t magic;
	uint32_t id; /* of the request, chosen by the client */
	uint32_t size; /* of this message, all of it */
	uint32_t answer; /* size that the response shall have */
};

struct options {
	const char *listen; /* address to listen on */
	const char *host; /* whom to connect to */
	int listen_port;
	int port;
	int connections; /* -c */
	int requests; /* -n, on each connection */
	uint32_t request_bytes; /* -q */
	uint32_t answer_bytes; /* -a */
	int parts; /* -w, writes for each message that is sent */
	uint64_t gap_ns; /* -g, between those */
	uint64_t think_ns; /* -t, the client's pause between requests */
	uint64_t delay_ns; /* -d, service, and proxy's way in: request read to sent on */
	uint64_t back_ns; /* -o, proxy's way out: response read to sent back */
	bool fresh; /* -x, a new connection for each request */
	bool shared; /* -s, proxy: any free upstream connection */
	bool epoll; /* -e, proxy: one thread */
};

/* From parts, by requests.c */
extern volatile bool ending; /* SIGTERM or SIGINT has come */
uint64_t now_ns(void);
void sleep_until(uint64_t at_ns);
__attribute__((noreturn)) void die(const char *what);
/* A line of truth, printed at the end. */
__attribute__((format(printf, 1, 2))) void truth(const char *fmt, ...);

/* requests_net.c */
int listen_on(const char *host, int *port);
int connect_to(const char *host, int port);
int local_port(int fd);
int peer_port(int fd);
/* Starts a detached thread with a small stack. */
void start_thread(void *(*f)(void *), void *arg);
/*
 * Reads one message, of which only the head is kept; first_ns, last_ns (NULL: not asked) are when recv() had
 * returned the first, the last of it. False if the connection has ended before its first byte.
 */
bool read_message(int fd, struct message *m, uint64_t *first_ns, uint64_t *last_ns);
/* Sends one in `parts` writes with gap_ns between; returns the time before the first. */
uint64_t send_message(int fd, const struct message *m, int parts, uint64_t gap_ns);

/* Return when they are done, or when `ending`. */
void load(const struct options *o);
void serve(const struct options *o);
void proxy(const struct options *o);
void proxy_epoll(const struct options *o);

#endif
