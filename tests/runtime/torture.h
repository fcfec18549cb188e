/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the files of torture share.  A connection has two directions, each a row of
 * segments whose sizes follow from the seed, and two ends.  An end has two lanes: one
 * writes segments as soon as their gates are open, one reads and checks every byte.  The
 * lanes know nothing of how they are driven: by a loop (poll or epoll) or by threads that
 * block.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

#define MAX_MESSAGE  (1 << 20)
#define MAX_ERRORS   20 /* whose texts are kept; with more, the run stops */
#define PORTS        4 /* listeners of each family */
#define LISTENERS    (FAMILIES * PORTS)
#define LOOP_BUFFER  MAX_MESSAGE
#define BLOCK_BUFFER (128 << 10)
#define ANY_LEAD     (1 << 30) /* segments wait for nothing */

enum kind {
	K_TURNS,
	K_PIPELINED,
	K_STREAM,
	K_DUPLEX,
	K_EARLY,
	K_TFO,
	K_HALF,
	K_RESET,
	K_SLOW,
	K_CLOSE,
	KINDS
};
enum family { F_4, F_6, F_MAPPED, F_VETH4, F_VETH6, F_VETHMAPPED, FAMILIES };
/* Edge-triggered: calls until EAGAIN, or (SHORT) until a count is less than was asked for. */
enum mode { M_BLOCK, M_POLL, M_LEVEL, M_EDGE, M_SHORT, MODES };
enum fault {
	X_NONE,
	X_LOSE,
	X_DOUBLE,
	X_SWAP,
	X_FOREIGN,
	X_SHORT,
	X_EXTRA,
	X_STALL,
	X_RESET,
	FAULTS
};

/*
 * Who ends it, and how:
 *   CLOSE  the ender closes as soon as it has written and read all
 *   HALF   the ender shuts down when it has written all; the other one writes on after it
 *          has seen that, and closes
 *   BOTH   each shuts down when it has written all, and reads to the end
 *   RESET  the ender closes with a reset in the middle
 */
enum ending { E_CLOSE, E_HALF, E_BOTH, E_RESET };

struct options {
	uint64_t seed, total, bytes; /* 0: no limit */
	int concurrent, seconds, patience; /* patience: seconds without progress */
	int size; /* of the largest message */
	bool stay; /* in the network namespace that we are in */
	bool eagain; /* a blocking socket may say EAGAIN */
	unsigned kinds, families, modes; /* bit masks */
	enum fault fault;
};

struct random {
	uint64_t state;
};

/* What a lane's step has come to. */
enum step {
	STEP_MORE, /* something was done */
	STEP_BLOCKED, /* the socket says EAGAIN */
	STEP_IDLE, /* a gate is closed */
	STEP_PAUSED, /* a reader that takes its time: until pause_until */
	STEP_OVER
};

struct conn;
struct loop;

/* First in all that epoll's data may point to. */
enum what { W_END, W_LISTENER };

struct end {
	enum what what;
	struct conn *conn;
	int side; /* 0: client, 1: server; also the direction that it writes */
	int fd;
	enum mode mode;
	bool two_threads, connected;

	/* the lane that writes */
	struct random wrand;
	uint64_t tx, tx_end; /* bytes written; where the last opened segment ends */
	int tx_seg; /* segments opened */
	int max_write;
	atomic_bool tx_dead; /* reset by the peer */
	bool shut, write_short;

	/* the lane that reads */
	struct random rrand;
	uint64_t rx, rx_end; /* bytes read; where the last complete segment ends */
	atomic_int rx_seg; /* complete segments */
	int max_read;
	atomic_bool eof, rx_dead;
	bool rolled; /* has paused already */
	bool peek_wrong, read_short; /* of the last call */
	uint64_t pause_until; /* ms */

	/* two threads: the reader opens gates */
	pthread_mutex_t lock;
	pthread_cond_t opened;
	atomic_int lanes; /* that are not over */
	bool writer; /* what the next thread is for */

	/* a loop */
	struct loop *loop;
	struct end *next, *next_again, *next_paused;
	uint32_t registered;
	int place; /* among those that a loop polls */
	bool can_read, can_write, on_again, hup, closed;
	bool once; /* one read per event, where a level triggers them */
};

struct conn {
	uint64_t id;
	enum kind kind;
	enum family family;
	enum ending ending;
	int ender; /* side */
	bool turns; /* only the client may end it early; else each writer its own direction */
	bool slow, nodelay, small_buffers, tfo;
	int max_size; /* of a segment */
	bool fixed_size;
	atomic_int n[2]; /* segments of each direction, before the tail */
	int tail[2]; /* segments that wait for the other end's end of stream */
	int lead[2]; /* how many segments one may be ahead of the other end */
	int prelude; /* segments that take turns, and are small, before all that */
	uint64_t reset_at; /* bytes of the ender */
	int listener;
	struct end end[2];
	atomic_int alive; /* ends */
	atomic_bool failed, reset_seen, reset_sent;
	atomic_uint_fast64_t progress; /* ms */
};

struct total {
	atomic_uint_fast64_t connections, bytes, segments, resets;
};

union addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

extern struct options opt;
extern atomic_bool stopping;
extern atomic_int active; /* connections */
extern atomic_uint_fast64_t verified, eagains;
extern struct total by_kind[KINDS], by_family[FAMILIES];
extern const char *const kind_names[], *const family_names[], *const mode_names[];
extern const char *const fault_names[];

/* torture.c */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
uint64_t now_ms(void);

/* torture_data.c: the bytes of a stream */
uint64_t mix(uint64_t x);
uint64_t data_key(const struct conn *c, int dir);
void data_fill(void *buf, uint64_t key, uint64_t off, size_t n);
size_t data_check(const void *buf, uint64_t key, uint64_t off, size_t n);
bool data_decode(const void *buf, size_t n, uint64_t *conn, int *dir, uint64_t *off);

/* torture_plan.c: what a connection does */
uint64_t roll(struct random *r);
unsigned below(struct random *r, unsigned n);
bool chance(struct random *r, unsigned one_in);
void plan_make(struct conn *c, uint64_t id);
size_t plan_size(const struct conn *c, int dir, int seg);
int plan_segments(const struct conn *c, int dir);
void plan_shrink(struct conn *c, int dir, int seg);

/* torture_io.c: one call on a socket, made in one of several ways */
ssize_t io_write(struct end *e, char *buf, size_t n, bool last);
ssize_t io_read(struct end *e, char *buf, size_t n);
ssize_t io_connect(struct end *e, char *buf);

/* torture_lane.c: the two lanes of an end */
bool open_next(struct end *e);
enum step write_step(struct end *e, char *buf);
enum step read_step(struct end *e, char *buf);
bool gate_open(struct end *e);
bool write_over(struct end *e);
bool settle(struct end *e);

/* torture_conn.c: beginning, meeting, end */
void conns_start(void);
bool end_connect(struct end *e, char *buf);
void conn_accept(int listener, int fd);
void end_over(struct end *e);
int conns_idle(uint64_t ms, void (*f)(struct conn *c));

/* torture_error.c */
void error_add(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void conn_fail(struct conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool errors_stuck(void);
void errors_print(FILE *out);
int errors_count(void);

/* torture_block.c: ends that block, in threads */
void block_start(struct end *e);

/* torture_loop.c: ends in loops */
void loops_start(void);
void loop_give(struct end *e);

/* torture_net.c: namespaces, addresses, listeners */
void net_start(void);
int net_listener(int listener); /* its socket; -1: that family isn't used */
socklen_t net_address(int listener, union addr *a);

#endif
