// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Failing, waiting for each other, and the facts: collecting, settling, printing. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "traffic.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

struct shared *sh;

static size_t shared_size(int max_facts)
{
	return sizeof(struct shared) + max_facts * sizeof(struct fact);
}

struct shared *shared_new(int max_facts)
{
	struct shared *s = mmap(NULL, shared_size(max_facts), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	s->max_facts = max_facts;
	for (int i = 0; i < SEM_COUNT; i++)
		sem_init(&s->sem[i], 1, 0);
	return s;
}

void shared_free(struct shared *s)
{
	munmap(s, shared_size(s->max_facts));
}

/*
 * A failure in one process makes others fail, too; only the first one is the reason.
 * The main process prints it.  Nobody has to wait for this process any more.
 */
void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!sh) {
		fputs("traffic: ", stderr);
		vfprintf(stderr, fmt, ap);
		fputc('\n', stderr);
	} else if (!atomic_exchange(&sh->failed, true)) {
		vsnprintf(sh->why, sizeof(sh->why), fmt, ap);
	}
	va_end(ap);
	for (int i = 0; sh && i < SEM_COUNT; i++)
		tell(i);
	_exit(1);
}

void skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sh->skip, sizeof(sh->skip), fmt, ap);
	va_end(ap);
	tell(SEM_READY);
	_exit(0);
}

void tell(enum sem sem)
{
	sem_post(&sh->sem[sem]);
}

static void wait_seconds(enum sem sem, int seconds)
{
	static const char *const names[] = { "listener", "client", "server", "runner", "go" };
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	while (sem_clockwait(&sh->sem[sem], CLOCK_MONOTONIC, &until) < 0) {
		if (errno != EINTR)
			die("no word from the %s within %d s", names[sem], seconds);
	}
	if (sh->failed)
		_exit(1);
}

void wait_for(enum sem sem)
{
	wait_seconds(sem, WAIT_SECONDS);
}

/* Longer than anybody waits for the word to go on. */
void wait_long(enum sem sem)
{
	wait_seconds(sem, PHASE_SECONDS + WAIT_SECONDS);
}

void msleep(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static struct fact *fact_new(bool server)
{
	int n = atomic_fetch_add(&sh->nfacts, 1);
	struct fact *f = &sh->fact[n];
	struct stat st;

	if (n >= sh->max_facts)
		die("more facts than expected");
	if (stat("/proc/thread-self/ns/net", &st) < 0)
		die("/proc/thread-self/ns/net: %s", strerror(errno));
	f->netns = st.st_ino;
	f->server = server;
	f->pid = getpid();
	f->tid = syscall(SYS_gettid);
	f->uid = getuid();
	prctl(PR_GET_NAME, f->comm);
	return f;
}

static void fact_cookie(struct fact *f, int fd)
{
	socklen_t len = sizeof(f->cookie);

	f->has_cookie = getsockopt(fd, SOL_SOCKET, SO_COOKIE, &f->cookie, &len) == 0;
}

static bool is_ipv4(const union addr *a)
{
	return a->sa.sa_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr);
}

/* This end of an established connection, seen by the thread that connected or accepted. */
struct fact *describe(int fd, bool server)
{
	struct fact *f = fact_new(server);
	socklen_t len = sizeof(union addr);
	union addr own, peer;

	if (getsockname(fd, &own.sa, &len) < 0)
		die("getsockname: %s", strerror(errno));
	len = sizeof(peer);
	if (getpeername(fd, &peer.sa, &len) < 0)
		die("getpeername: %s", strerror(errno));
	f->family = is_ipv4(&own) ? AF_INET : AF_INET6;
	addr_text(&own, f->saddr);
	addr_text(&peer, f->daddr);
	f->sport = addr_port(&own);
	f->dport = addr_port(&peer);
	fact_cookie(f, fd);
	f->connect = !server;
	f->accept = server;
	f->close = true;
	return f;
}

/*
 * An attempt that failed.  The kernel forgets the address of a socket that was not
 * bound, so the caller says it (NULL: none was chosen), but it keeps the port.
 */
struct fact *failed_connect(int fd, const char *saddr, const union addr *to, int error)
{
	struct fact *f = fact_new(false);
	union addr own = { 0 };
	socklen_t len = sizeof(own);

	if (getsockname(fd, &own.sa, &len) < 0)
		die("getsockname: %s", strerror(errno));
	f->family = is_ipv4(to) ? AF_INET : AF_INET6;
	if (saddr)
		snprintf(f->saddr, sizeof(f->saddr), "%s", saddr);
	addr_text(to, f->daddr);
	f->dport = addr_port(to);
	f->sport = addr_port(&own);
	if (!f->sport && saddr)
		f->sport = PORT_UNKNOWN;
	fact_cookie(f, fd);
	f->connect = true;
	f->error = error;
	return f;
}

void ended(struct fact *f, enum end end, enum closed_by by, pid_t closer)
{
	f->end = end;
	f->closed_by = by;
	f->closer = closer;
}

/* Whether the file lists a socket with one of the ports that is not done yet. */
static bool unsettled(const char *path, const bool *ports)
{
	FILE *in = fopen(path, "re");
	char line[512];
	bool found = false;

	while (in && !found && fgets(line, sizeof(line), in)) {
		unsigned int port, state;

		if (sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x", &port, &state) != 2)
			continue;
		/* TIME_WAIT, CLOSE and LISTEN are no connections any more, or not yet */
		found = ports[port & 0xffff] && state != 6 && state != 7 && state != 10;
	}
	if (in)
		fclose(in);
	return found;
}

/* Waits until the kernel has brought every connection of the scenario to its end. */
void settle(const struct shared *s)
{
	static bool ports[65536];
	double until = now() + WAIT_SECONDS;

	memset(ports, 0, sizeof(ports));
	for (int i = 0; i < s->nfacts; i++) {
		if (s->fact[i].sport > 0)
			ports[s->fact[i].sport] = true;
	}
	while (unsettled("/proc/net/tcp", ports) || unsettled("/proc/net/tcp6", ports)) {
		if (now() > until)
			die("connections that have not ended after %d s", WAIT_SECONDS);
		msleep(5);
	}
}

static void print_address(FILE *out, const char *key, const char *text)
{
	if (*text)
		fprintf(out, "\"%s\":\"%s\",", key, text);
	else
		fprintf(out, "\"%s\":null,", key);
}

static void print_end(FILE *out, const struct fact *f)
{
	static const char *const ends[] = {
		"null", "\"fin\"", "\"rst_sent\"", "\"rst_received\"", "\"timeout\"",
	};
	static const char *const sides[] = { "null", "\"local\"", "\"remote\"" };

	fprintf(out, "\"close\":%s,\"rx_bytes\":%" PRIu64 ",\"tx_bytes\":%" PRIu64 ",",
		f->close ? "true" : "false", f->rx, f->tx);
	if (f->tx_unacked)
		fprintf(out, "\"tx_unacked\":%" PRIu64 ",", f->tx_unacked);
	fprintf(out, "\"end\":%s,\"closed_by\":%s,\"closer_pid\":%d,\"old\":%s", ends[f->end],
		sides[f->closed_by], f->closer, f->old ? "true" : "false");
	if (f->old)
		fprintf(out, ",\"rx_before\":%" PRIu64 ",\"tx_before\":%" PRIu64, f->rx_before,
			f->tx_before);
}

static void print_fact(FILE *out, const char *scenario, const struct fact *f)
{
	fprintf(out, "{\"scenario\":\"%s\",\"side\":\"%s\",\"pid\":%d,\"tid\":%d,", scenario,
		f->server ? "server" : "client", f->pid, f->tid);
	fprintf(out, "\"comm\":\"%s\",\"uid\":%u,\"family\":\"%s\",", f->comm, f->uid,
		f->family == AF_INET ? "ipv4" : "ipv6");
	print_address(out, "saddr", f->saddr);
	if (f->sport > 0)
		fprintf(out, "\"sport\":%d,", f->sport);
	else if (f->sport == PORT_NONE)
		fprintf(out, "\"sport\":null,");
	print_address(out, "daddr", f->daddr);
	fprintf(out, "\"dport\":%d,", f->dport);
	if (f->has_cookie)
		fprintf(out, "\"cookie\":%" PRIu64 ",", f->cookie);
	fprintf(out, "\"netns\":%" PRIu64 ",\"connect\":%s,", f->netns,
		f->connect ? "true" : "false");
	if (f->error)
		fprintf(out, "\"error\":\"%s\",", strerrorname_np(f->error));
	else
		fprintf(out, "\"error\":null,");
	fprintf(out, "\"accept\":%s,", f->accept ? "true" : "false");
	print_end(out, f);
	fprintf(out, "}\n");
}

void print_facts(FILE *out, const char *scenario, const struct shared *s)
{
	for (int i = 0; i < s->nfacts; i++) {
		const struct fact *f = &s->fact[i];

		if (!f->churn) {
			print_fact(out, scenario, f);
			continue;
		}
		fprintf(out, "{\"scenario\":\"%s\",\"count\":%" PRIu64 ",\"seconds\":%.6f,",
			scenario, f->rx, f->tx / 1e6);
		fprintf(out, "\"client_pid\":%d,\"server_pid\":%d}\n", f->pid, f->closer);
	}
}
