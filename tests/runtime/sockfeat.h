/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the files of sockfeat share. Every feature runs in a process of its own; that has
 * both ends of the connection, unless the feature is about processes.
 */
#ifndef SOCKFEAT_H
#define SOCKFEAT_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

#define FEATURE_SECONDS                                                                            \
	(in_guest ? 600 : 180) /* for one feature, besides the line on standard input */
#define STEP_SECONDS 20 /* for one step of it */

struct pair {
	int client, server;
	int listener; /* -1: closed */
};

/* A call that may block, in a thread of its own. */
struct call {
	pthread_t thread;
	ssize_t (*f)(struct call *c);
	atomic_int tid;
	int fd, flags, error;
	size_t size;
	char data[256];
	ssize_t result;
	double seconds;
	atomic_bool done;
};

extern bool blocking; /* whether sockets of this feature are left blocking */
extern bool before; /* whether it sets its option before the turns, not after them */
extern bool in_guest; /* in an emulated machine everything takes longer */

/* sockfeat_say.c: what is printed */
void say_open(const char *feature);
bool say_close(int status);
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_result(const char *what, ssize_t result, int error);
void say_text(const char *what, ssize_t result, int error, const char *data);
void note(const char *key, long value);
void ready(const struct pair *p);
extern bool interactive; /* option -i */

/* sockfeat_pair.c: connections */
extern int turns; /* option -t */
int tcp_socket(void);
int listen_on(int lfd, struct sockaddr_in *at);
struct pair pair_of(int client, int lfd, const struct sockaddr_in *to);
struct pair pair_new(void);
void warm_up(const struct pair *p);
struct pair warm_pair(void);
struct pair pair_with(bool server, int level, int name, int value);
void turn(const struct pair *p, size_t size);
void set_blocking(int fd, bool on);
void option(int fd, int level, int name, int value);
int port_of(int fd, bool peer);
void own_net(void);
void set_sysctl(const char *path, const char *value);

/* sockfeat_io.c: sending, receiving, waiting */
double now(void);
void msleep(int ms);
void settle(void);
void put(int fd, const char *text);
void put_bytes(int fd, const void *data, size_t size);
void get_bytes(int fd, void *data, size_t size);
short polled(int fd, short events, int ms);
void say_polled(const char *what, int fd, short events);
void say_recv(const char *what, int fd, size_t size, int flags);
void say_recv_wait(const char *what, int fd, size_t size, int flags);
void say_send(const char *what, int fd, const char *text, int flags);
void say_exchange(const char *what, const struct pair *p);
void call_start(struct call *c, ssize_t (*f)(struct call *c));
void call_waits(const struct call *c);
void call_recv(struct call *c, int fd, size_t size, int flags);
bool call_ends(struct call *c, double seconds);
void say_call(const char *what, struct call *c);
void pattern_fill(void *data, size_t from, size_t size);
bool pattern_is(const void *data, size_t from, size_t size);

/* The features. */
void run_peek(void);
void run_waitall(void);
void run_waitall_eof(void);
void run_rcvlowat(void);
void run_dontwait(void);
void run_signal_restart(void);
void run_signal_eintr(void);
void run_rst_blocked(void);
void run_rcvtimeo(void);
void run_zero_length(void);
void run_trunc(void);
void run_fionread(void);
void run_fionread_full(void);
void run_peek_off(void);
void run_tcp_inq(void);
void run_timestamp(void);
void run_timestampns(void);
void run_rx_timestamping(void);
void run_tx_timestamping(void);
void run_oob(void);
void run_oob_inline(void);
void run_oob_poll(void);
void run_splice_from(void);
void run_splice_to(void);
void run_sendfile(void);
void run_vmsplice(void);
void run_zerocopy(void);
void run_mmsg(void);
void run_iovec(void);
void run_uring(void);
void run_uring_wait(void);
void run_uring_waitall(void);
void run_outq(void);
void run_tcp_info(void);
void run_cork(void);
void run_more(void);
void run_nagle(void);
void run_nodelay(void);
void run_mark(void);
void run_busy_poll(void);
void run_names(void);
void run_repair(void);
void run_full_1(void);
void run_full_64(void);
void run_full_1k(void);
void run_full_64k(void);
void run_full_blocking(void);
void run_sndtimeo(void);
void run_small_rcvbuf(void);
void run_small_sndbuf(void);
void run_epoll_lt(void);
void run_epoll_et(void);
void run_epoll_et_part(void);
void run_epoll_oneshot(void);
void run_epoll_exclusive(void);
void run_epoll_out(void);
void run_epoll_rdhup(void);
void run_sigio(void);
void run_keepalive(void);
void run_user_timeout(void);
void run_shut_wr(void);
void run_shut_rd(void);
void run_shut_rdwr(void);
void run_close_unread(void);
void run_close_written(void);
void run_close_full(void);
void run_linger_rst(void);
void run_so_error(void);
void run_sigpipe(void);
void run_reconnect(void);
void run_tuple_reuse(void);
void run_unaccepted(void);
void run_fork(void);
void run_dup(void);
void run_scm_rights(void);
void run_scm_outside(void);
void run_two_writers(void);
void run_duplex(void);
void run_start_recv(void);
void run_start_waitall(void);
void run_start_poll(void);
void run_start_epoll(void);
void run_set_blocking(void);
void run_ktls(void);
void run_ktls_before(void);
void run_sockmap_after(void);
void run_sockmap_before(void);
void run_mptcp_both(void);
void run_mptcp_client(void);
void run_mptcp_server(void);
void run_tfo(void);
void run_defer_accept(void);

#endif
