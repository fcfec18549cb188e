// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Makes TCP connections on this machine, of many kinds, and checks every byte of every
 * stream in both directions.
 *
 *   -c N        connections at once (50)
 *   -n N        connections in all    } whichever limit is reached first; then those that
 *   -s SECONDS  (10)                  } are left come to their ends
 *   -b BYTES    with K, M or G, in all; read and found to be right
 *   -z BYTES    of the largest message (1M)
 *   -k KINDS    of connections; list shows what there is
 *   -f FAMILIES and ways between both ends
 *   -u MODES    how sockets are used
 *   -S SEED     to repeat what was done
 *   -w SECONDS  without progress, then a connection is stuck (20)
 *   -N          stays in this network namespace: no veth, fast open only if it is on
 *   -e          EAGAIN on a blocking socket is no error, but counted
 *   -x FAULT    makes a fault in what is written, to see that it is found
 *
 * The last line of output is a JSON object; the exit status is 1 if there were errors.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "torture.h"

const char *const kind_names[] = { "turns", "pipelined", "stream", "duplex", "early",
				   "tfo",   "half",      "reset",  "slow",   "close" };
const char *const family_names[] = { "4", "6", "mapped", "veth4", "veth6", "vethmapped" };
const char *const mode_names[] = { "block", "poll", "level", "edge", "short" };
const char *const fault_names[] = { "none",  "lose",  "double", "swap", "foreign",
				    "short", "extra", "stall",  "reset" };

struct options opt = { .concurrent = 50, .patience = 20, .size = MAX_MESSAGE };
atomic_bool stopping;
atomic_uint_fast64_t verified, eagains;

void die(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "torture: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	_exit(2);
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

static uint64_t number(const char *text, uint64_t most)
{
	static const char units[] = "KMG";
	char *end;
	uint64_t n = strtoull(text, &end, 10);
	const char *unit = *end ? strchr(units, *end) : NULL;

	if (unit) {
		n <<= 10 * (unit - units + 1);
		end++;
	}
	if (end == text || *end || *text == '-' || n > most)
		die("%s is not a number up to %ju", text, (uintmax_t)most);
	return n;
}

/* One of the names, as a number. */
static int name(const char *text, const char *const *names, int n, const char *what)
{
	for (int i = 0; i < n; i++) {
		if (!strcmp(text, names[i]))
			return i;
	}
	die("no %s %s; try: torture list", what, text);
}

static unsigned set_of(char *text, const char *const *names, int n, const char *what)
{
	unsigned mask = 0;

	for (char *word = strtok(text, ","); word; word = strtok(NULL, ","))
		mask |= 1u << name(word, names, n, what);
	if (!mask)
		die("no %s is given; try: torture list", what);
	return mask;
}

static void list(const char *what, const char *const *names, int n)
{
	printf("%s:", what);
	for (int i = 0; i < n; i++)
		printf(" %s", names[i]);
	printf("\n");
}

static void list_all(void)
{
	list("kinds", kind_names, KINDS);
	list("families", family_names, FAMILIES);
	list("modes", mode_names, MODES);
	list("faults", fault_names, FAULTS);
	exit(0);
}

static void option(int o, char *arg)
{
	switch (o) {
	case 'c':
		opt.concurrent = number(arg, 100000);
		break;
	case 'n':
		opt.total = number(arg, INT64_MAX);
		break;
	case 's':
		opt.seconds = number(arg, 1000000);
		break;
	case 'b':
		opt.bytes = number(arg, INT64_MAX);
		break;
	case 'z':
		opt.size = number(arg, MAX_MESSAGE);
		break;
	case 'k':
		opt.kinds = set_of(arg, kind_names, KINDS, "kind");
		break;
	case 'f':
		opt.families = set_of(arg, family_names, FAMILIES, "family");
		break;
	case 'u':
		opt.modes = set_of(arg, mode_names, MODES, "mode");
		break;
	case 'S':
		opt.seed = number(arg, UINT64_MAX);
		break;
	case 'w':
		opt.patience = number(arg, 100000);
		break;
	case 'N':
		opt.stay = true;
		break;
	case 'e':
		opt.eagain = true;
		break;
	case 'x':
		opt.fault = name(arg, fault_names, FAULTS, "fault");
		break;
	default:
		die("usage: torture [-c N] [-n N] [-s SECONDS] [-b BYTES] [-z BYTES] [-k KINDS] [-f FAMILIES] "
		    "[-u MODES] [-S SEED] [-w SECONDS] [-N] [-e] | list");
	}
}

static void options(int argc, char **argv)
{
	int o;

	while ((o = getopt(argc, argv, "c:n:s:b:z:k:f:u:S:w:Nex:")) != -1)
		option(o, optarg);
	if (optind < argc && !strcmp(argv[optind], "list"))
		list_all();
	if (optind < argc || !opt.concurrent || !opt.size)
		option('?', NULL);
	if (!opt.kinds)
		opt.kinds = (1u << KINDS) - 1;
	if (!opt.families)
		opt.families = (1u << (opt.stay ? F_MAPPED + 1 : FAMILIES)) - 1;
	if (!opt.modes)
		opt.modes = (1u << MODES) - 1;
	if (opt.stay && opt.families >> F_VETH4)
		die("across veth needs network namespaces of its own (no -N)");
	if (!opt.seconds && !opt.total && !opt.bytes)
		opt.seconds = 10;
	if (!opt.seed)
		opt.seed = mix(time(NULL) * 1000003ull + getpid()) >> 32;
}

static void stop(int signal)
{
	(void)signal;
	stopping = true;
}

/* Two descriptors for each connection, and some. */
static void limits(void)
{
	struct rlimit r;
	rlim_t need = opt.concurrent * 2 + 200;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = need;
	if (r.rlim_max < need)
		r.rlim_max = need;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0)
		die("%ju open files: %s", (uintmax_t)need, strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
}

/* Until all connections have ended, or one is stuck; those that failed may never end. */
static void watch(uint64_t start)
{
	uint64_t failed_since = 0;

	for (int i = 1; active; i++) {
		uint64_t t = now_ms();

		usleep(10000);
		if (opt.seconds && t - start >= opt.seconds * 1000ull)
			stopping = true;
		if (opt.bytes && verified >= opt.bytes)
			stopping = true;
		if (i % 100 == 0 && errors_stuck())
			return;
		if (errors_count() && stopping && !failed_since)
			failed_since = t;
		if (failed_since && t - failed_since > opt.patience * 1000ull)
			return;
	}
}

static void print_totals(const char *key, const struct total *t, const char *const *names, int n)
{
	const char *comma = "";

	printf("\"%s\":{", key);
	for (int i = 0; i < n; i++) {
		if (!t[i].connections)
			continue;
		printf("%s\"%s\":{\"connections\":%ju,\"bytes\":%ju,\"segments\":%ju,\"resets\":%ju}",
		       comma, names[i], (uintmax_t)t[i].connections, (uintmax_t)t[i].bytes,
		       (uintmax_t)t[i].segments, (uintmax_t)t[i].resets);
		comma = ",";
	}
	printf("},");
}

static void print_sum(double seconds)
{
	uint64_t connections = 0, segments = 0, resets = 0;

	for (int i = 0; i < KINDS; i++) {
		connections += by_kind[i].connections;
		segments += by_kind[i].segments;
		resets += by_kind[i].resets;
	}
	printf("{\"seed\":%ju,\"seconds\":%.2f,\"connections\":%ju,\"bytes\":%ju,\"segments\":%ju,"
	       "\"resets\":%ju,\"eagains\":%ju,",
	       (uintmax_t)opt.seed, seconds, (uintmax_t)connections, (uintmax_t)verified,
	       (uintmax_t)segments, (uintmax_t)resets, (uintmax_t)eagains);
	print_totals("kinds", by_kind, kind_names, KINDS);
	print_totals("families", by_family, family_names, FAMILIES);
	printf("\"unfinished\":%d,\"error_count\":%d,\"errors\":", active, errors_count());
	errors_print(stdout);
	printf("}\n");
}

int main(int argc, char **argv)
{
	uint64_t start;

	options(argc, argv);
	limits();
	net_start();
	fprintf(stderr, "torture: seed %ju\n", (uintmax_t)opt.seed);
	start = now_ms();
	loops_start();
	conns_start();
	watch(start);
	print_sum((now_ms() - start) / 1000.0);
	fflush(stdout);
	_exit(errors_count() ? 1 : 0);
}
