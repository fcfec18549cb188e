/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the files of traffic share.  Every scenario runs in a process of its own, the
 * runner, which is also the client; servers are its children.  They meet in a piece of
 * shared memory: semaphores for who does what first, and the facts to print.
 */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include <netinet/in.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

#define WAIT_SECONDS     20 /* for one step of a scenario */
#define PHASE_SECONDS    60 /* for the word to go on */
#define SCENARIO_SECONDS 90 /* for a whole scenario, besides the word to go on */

/* Addresses of the namespace that traffic makes; see traffic_net.c. */
#define OWN4         "10.77.0.1"
#define OWN6         "fd77::1"
#define SILENT4      "10.77.0.2" /* SYNs to it vanish */
#define SILENT6      "fd77::2"
#define ABSENT4      "10.77.0.3" /* nobody answers the search for its link address */
#define ABSENT6      "fd77::3"
#define NOROUTE4     "192.0.2.1"
#define NOROUTE6     "2001:db8::1"
#define DISCARD_PORT 9

#define PORT_UNKNOWN (-1) /* there was one, but it cannot be told: nothing is printed */
#define PORT_NONE    0 /* the failure came before a port was chosen: null */

enum end { END_NONE, END_FIN, END_RST_SENT, END_RST_RECEIVED, END_TIMEOUT };
enum closed_by { CLOSED_NONE, CLOSED_LOCAL, CLOSED_REMOTE };

/* One line of output: one end of one connection, or one failed attempt to connect. */
struct fact {
	bool server, connect, accept, close, old, has_cookie;
	bool churn; /* not a connection: rx is a count, tx microseconds, closer the server */
	int family, sport, dport, error;
	pid_t pid, tid, closer;
	uid_t uid;
	enum end end;
	enum closed_by closed_by;
	uint64_t cookie, netns, rx, tx;
	uint64_t rx_before, tx_before; /* of an old connection: before the word to go on */
	uint64_t tx_unacked; /* of tx: written and sent, never acknowledged */
	char comm[16];
	char saddr[INET6_ADDRSTRLEN], daddr[INET6_ADDRSTRLEN];
};

enum sem { SEM_LISTENING, SEM_CLIENT, SEM_SERVER, SEM_READY, SEM_GO, SEM_COUNT };

union addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct shared {
	sem_t sem[SEM_COUNT];
	atomic_bool failed;
	atomic_int nfacts;
	int max_facts;
	union addr server; /* where the server listens */
	char why[256], skip[256];
	struct fact fact[];
};

extern struct shared *sh;
extern int count; /* option -c */
extern int pairs; /* option -p */

/* traffic_fact.c: failing, waiting, facts */
struct shared *shared_new(int max_facts);
void shared_free(struct shared *s);
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void tell(enum sem sem);
void wait_for(enum sem sem);
void wait_long(enum sem sem);
void msleep(int ms);
double now(void);
struct fact *describe(int fd, bool server);
struct fact *failed_connect(int fd, const char *saddr, const union addr *to, int error);
void ended(struct fact *f, enum end end, enum closed_by by, pid_t closer);
void settle(const struct shared *s);
void print_facts(FILE *out, const char *scenario, const struct shared *s);

/* traffic_net.c: the namespace */
void net_setup(void);
void ip_batch(const char *commands);
void set_sysctl(const char *path, const char *value);
bool have_ipv6(void);

/* traffic_sock.c: sockets */
void addr_set(union addr *a, const char *ip, int port);
socklen_t addr_len(const union addr *a);
int addr_port(const union addr *a);
const char *addr_text(const union addr *a, char text[INET6_ADDRSTRLEN]);
int tcp_socket(int family, int flags);
void option(int fd, int level, int name, int value);
int bound_socket(const char *ip, union addr *a);
int listen_on(const char *ip, union addr *a);
int open_plain(const union addr *to);
int take_plain(int lfd);
void connect_starts(int fd, const union addr *to);
void wait_poll(int fd, short events);
void send_bytes(int fd, size_t n);
void recv_bytes(int fd, size_t n);
void recv_eof(int fd);
void recv_error(int fd, int error);
void wait_acked(int fd);
void wait_queued(int lfd, unsigned int n);
void close_reset(int fd);

/* traffic_plain.c: connections that end with a FIN from both sides */
enum order { CLIENT_FIRST, SERVER_FIRST, HALF_CLOSE };

struct plan {
	const char *listen;
	const char *connect[2];
	size_t request, answer;
	enum order order;
	int (*open)(const union addr *to, size_t *sent); /* sent: of the request, at once */
	int (*take)(int lfd); /* open, take: NULL for a blocking connect, accept */
	int connections; /* 0: count for each address to connect to */
};

pid_t start_server(const char *ip, void (*serve)(int lfd, const void *arg), const void *arg);
void finish_child(pid_t pid);
void server_address(union addr *to, const char *ip);
pid_t start_plan(const struct plan *p);
void client_talk(const struct plan *p, int fd, size_t sent);
void server_talk(const struct plan *p, struct fact *f, int fd);
void serve_plan(int lfd, const void *plan);
void run_clients(const struct plan *p);
void run_served(const struct plan *p, void (*serve)(int lfd, const void *plan));

/* traffic_fail.c */
void expect_error(int fd, const union addr *to, int error);
int shared_port(const union addr *own, union addr *got);

/* The scenarios. */
void run_echo4(void);
void run_echo6(void);
void run_mapped(void);
void run_nonblock(void);
void run_bulk(void);
void run_halfclose(void);
void run_serverclose(void);
void run_forked(void);
void run_threads(void);
void run_tfo(void);
void run_refused4(void);
void run_refused6(void);
void run_refused_nb(void);
void run_refused_again(void);
void run_retry(void);
void run_noroute4(void);
void run_noroute6(void);
void run_addrinuse(void);
void run_hostunreach(void);
void run_hostunreach6(void);
void run_timeout(void);
void run_timeout6(void);
void run_abandoned(void);
void run_linger_rst(void);
void run_unread_rst(void);
void run_never_accepted(void);
void run_dead_peer(void);
void run_simopen(void);
void run_uring(void);
void run_uring_multi(void);
void run_uring_fail(void);
void run_old(void);
void run_blocked(void);
void run_queued(void);
void run_connecting(void);
void run_churn(void);

#endif
