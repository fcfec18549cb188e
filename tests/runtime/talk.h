/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* talk.h - what the parts of `talk` share; what it is for: talk.c. */
#ifndef TALK_H
#define TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NS_PER_MS 1000000ULL

/* What was done at one end, and between which times. */
enum deed { DID_SEND, DID_READ, DID_PAUSE, DID_CLOSE, DID_RESET, DID_DETACH };

struct step {
	enum deed deed;
	size_t bytes;
	int tid;
	uint64_t from_ns[2]; /* the first byte: not before, not after */
	uint64_t to_ns[2]; /* the last one */
	bool over; /* sent while there was something to read */
};

struct end {
	int fd;
	bool accepts; /* this end answers */
	uint64_t cookie;
	int sport, dport;
	size_t sent, read; /* bytes so far */
	struct step *steps;
	int nr_steps;
};

/* A connection with both its ends here. */
struct pair {
	struct end client, server;
	int listener; /* -1: closed */
};

#define ALL (1 << 20) /* bytes: more than anything is long */

extern const char *ready_file, *go_file; /* NULL: nobody waits */
extern int timeout_ms; /* how long a pause must be for a response to be told */

/* talk.c */
uint64_t now_ns(void);
__attribute__((noreturn)) void die(const char *what);
void ms(unsigned n); /* sleeps */

/* talk_pair.c: each of these does it and writes it down. */
void pair_open(struct pair *p, const char *family); /* "4", "6" or "mapped" */
/* With a queue of this length, and the listener left open. */
void pair_open_from(struct pair *p, const char *family, int queue);
/* A turn in which something is lost on the way in each direction. Not written down. */
void lose_some(struct pair *p);
/* How bytes are moved; each way is another system call. */
enum how {
	PLAIN, /* send, recv */
	FILE_IO, /* write, read */
	VECTOR, /* writev, readv */
	MESSAGE, /* sendmsg, recvmsg */
	MANY, /* sendmmsg, recvmmsg */
	FROM_FILE, /* sendfile, splice to a pipe */
	WAITALL, /* recv with MSG_WAITALL; send */
	HOWS,
	WAITED_FOR, /* send, while a thread waits for it */
	URING, /* through io_uring, see talk_uring.c */
};
/* Sends all of it at once, and returns when the other end could read it. */
void say(struct pair *p, struct end *e, size_t bytes, enum how how);
/* Reads exactly so many bytes, at most `most` with each call. */
void hear(struct pair *p, struct end *e, size_t bytes, size_t most, enum how how);
/* The same, in a thread of its own. */
void say_in_thread(struct pair *p, struct end *e, size_t bytes);
void hear_in_thread(struct pair *p, struct end *e, size_t bytes);
/* begin_hearing() returns when a thread waits for the bytes, end_hearing() when it has them. */
void begin_hearing(struct pair *p, struct end *e, size_t bytes);
void end_hearing(void);
/* Nothing moves for so long that a response is told. */
void pause_both(struct pair *p);
void close_by_fin(struct pair *p, struct end *first);
void reset(struct pair *p, struct end *by);
/* Notes that the tracer has gone meanwhile. */
void detached(struct pair *p);
/* Notes the end that the case itself has made. */
void ended(struct pair *p, bool by_rst);

/* talk_uring.c: IORING_OP_SEND and IORING_OP_RECV; -1 and errno. */
bool uring_there(void);
ssize_t uring_send(int fd, const void *data, size_t n);
ssize_t uring_recv(int fd, void *data, size_t n);

/* talk_expect.c: prints the events that both ends must have had, one line each. */
void expect_all(const struct pair *p, const char *name);
/* For a case in which both speak at once: prints what must have been moved, all in all. */
void expect_bytes(const struct pair *p, const char *name);

/* talk_cases.c */
struct talk_case {
	const char *name;
	void (*run)(const char *name);
	bool waits; /* for GO */
};
extern const struct talk_case talk_cases[];
/* Client asks, server answers, each with one call. */
void turn(struct pair *p, size_t request, size_t response);
/* talk_old.c, talk_stream.c */
void case_old(const char *name);
void case_left_open(const char *name);
void case_duplex(const char *name);
void case_stream(const char *name);

#endif
