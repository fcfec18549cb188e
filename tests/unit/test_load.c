/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The generator of load: that what it counts adds up, where its processes are, and its errors. */
#include <errno.h>
#include <dirent.h>
#include <mntent.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include "load.h"
#include "t.h"

static struct load_result result;
static struct err err;

/* Short, so that all of it takes a second or two. */
static struct load_spec short_one(enum load_kind kind, enum load_family family)
{
	struct load_spec spec;

	load_defaults(&spec);
	spec.kind = kind;
	spec.family = family;
	spec.warmup = 0.02;
	spec.seconds = 0.05;
	return spec;
}

static void run(const struct load_spec *spec)
{
	if (load_run(spec, &result, &err))
		FAIL("%s", err.msg);
	CHECK(result.ops > 0);
	CHECK(result.seconds >= spec->seconds && result.seconds < spec->seconds + 5);
	CHECK(result.rate * result.seconds > (double)result.ops - 0.5);
	CHECK(result.rate * result.seconds < (double)result.ops + 0.5);
	CHECK(result.cpu_seconds > 0);
}

static void check_latency(void)
{
	CHECK(result.p50_ns > 0);
	CHECK(result.p90_ns >= result.p50_ns);
	CHECK(result.p99_ns >= result.p90_ns);
	CHECK(result.max_ns >= result.p99_ns);
	CHECK(result.max_ns < 6e10);
}

static void turns(void)
{
	for (int family = LOAD_IPV4; family < LOAD_FAMILIES; family++) {
		struct load_spec spec = short_one(LOAD_TURNS, (enum load_family)family);

		spec.request = 100;
		spec.response = 3000;
		spec.connections = 3;
		spec.depth = 4;
		run(&spec);
		CHECK_INT(result.bytes, result.ops * 3100);
		check_latency();
	}
}

static void batches(void)
{
	struct load_spec spec = short_one(LOAD_TURNS, LOAD_IPV4);

	spec.depth = 16;
	spec.batch = true;
	run(&spec);
	CHECK_INT(result.bytes, result.ops * 128);
	check_latency();
}

static void streams(void)
{
	for (int family = LOAD_IPV4; family < LOAD_FAMILIES; family++) {
		struct load_spec spec = short_one(LOAD_STREAM, (enum load_family)family);

		spec.request = 1000;
		spec.connections = 2;
		spec.nagle = family == LOAD_IPV6;
		run(&spec);
		CHECK_INT(result.ops, result.bytes / 1000);
		CHECK(result.max_ns == 0);
	}
}

static void churn(void)
{
	for (int exchanges = 0; exchanges < 3; exchanges++) {
		struct load_spec spec = short_one(LOAD_CHURN, LOAD_IPV4);

		spec.exchanges = exchanges;
		spec.connections = 2;
		run(&spec);
		CHECK_INT(result.bytes, result.ops * (uint64_t)exchanges * 128);
		check_latency();
	}
}

static void blocking(void)
{
	struct load_spec spec = short_one(LOAD_TURNS, LOAD_IPV4);

	spec.blocking = true;
	run(&spec);
	CHECK_INT(result.bytes, result.ops * 128);
	spec.kind = LOAD_STREAM;
	run(&spec);
	CHECK_INT(result.ops, result.bytes / 64);
}

static void proxies(void)
{
	for (int kind = LOAD_TURNS; kind <= LOAD_CHURN; kind += LOAD_CHURN - LOAD_TURNS) {
		struct load_spec spec = short_one((enum load_kind)kind, LOAD_IPV4);

		spec.proxies = 2;
		spec.exchanges = 1;
		spec.connections = 2;
		run(&spec);
		CHECK_INT(result.bytes, result.ops * 128);
		check_latency();
	}
}

/* 32 MiB are due in each direction: everyone has to read while he can't write. */
static void too_much(void)
{
	for (int n = 0; n <= 2; n += 2) {
		struct load_spec spec = short_one(LOAD_TURNS, LOAD_IPV4);

		spec.proxies = n;
		spec.depth = 128;
		spec.request = spec.response = 256 << 10;
		spec.seconds = 0.5;
		run(&spec);
		CHECK_INT(result.bytes, result.ops * (512 << 10));
	}
}

static void memory(void)
{
	struct load_spec spec = short_one(LOAD_TURNS, LOAD_IPV4);

	spec.connections = 2000;
	spec.memory = true;
	spec.seconds = 0.3;
	run(&spec);
	/* two sockets of 2 KiB and more each, whatever else happens on this machine */
	CHECK(result.slab_bytes > 2000 * 4096);
}

static char cgroup[4096];

static void remove_cgroup(void)
{
	rmdir(cgroup);
}

static void make_cgroup(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	const struct mntent *m;

	while (mounts && !*cgroup && (m = getmntent(mounts)))
		if (!strcmp(m->mnt_type, "cgroup2"))
			snprintf(cgroup, sizeof(cgroup), "%s/bpfnet-unit-%d", m->mnt_dir, getpid());
	if (mounts)
		endmntent(mounts);
	if (!*cgroup || mkdir(cgroup, 0755))
		SKIP("no cgroup v2 to make one in");
	atexit(remove_cgroup);
}

static volatile bool over;

static void *most_processes(void *arg)
{
	char path[4200], line[32];
	long most = 0;

	(void)arg;
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	while (!over) {
		FILE *f = fopen(path, "r");
		long n = 0;

		while (f && fgets(line, sizeof(line), f))
			n++;
		if (f)
			fclose(f);
		most = n > most ? n : most;
		usleep(1000);
	}
	return (void *)most;
}

static void check_in_cgroup(const struct load_spec *spec, long processes)
{
	pthread_t thread;
	void *most;

	over = false;
	CHECK(!pthread_create(&thread, NULL, most_processes, NULL));
	run(spec);
	over = true;
	CHECK(!pthread_join(thread, &most));
	CHECK_INT((long)most, processes);
}

static void in_cgroup(void)
{
	struct load_spec spec = short_one(LOAD_TURNS, LOAD_IPV4);

	make_cgroup();
	spec.proxies = 1;
	spec.seconds = 0.2;
	spec.server.cgroup = cgroup;
	check_in_cgroup(&spec, 2);
	spec.client.cgroup = cgroup;
	check_in_cgroup(&spec, 3);
}

/* One that has no interface up: what connects there reaches nobody here. */
static void in_netns(void)
{
	struct load_spec spec = short_one(LOAD_TURNS, LOAD_IPV4);
	char path[64];
	int ready[2];
	pid_t pid;
	char byte;

	CHECK(!pipe(ready));
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		byte = unshare(CLONE_NEWNET) != 0;
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(0);
	}
	CHECK_INT(read(ready[0], &byte, 1), 1);
	if (byte)
		SKIP("no network namespace can be made");
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	spec.client.netns = path;
	CHECK_INT(load_run(&spec, &result, &err), -ENETUNREACH);
	CHECK_STR(err.msg, "load: connect (ENETUNREACH)");
	spec.client.netns = "/proc/self/ns/net";
	run(&spec);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void refused(const struct load_spec *spec, int code, const char *message)
{
	CHECK_INT(load_run(spec, &result, &err), code);
	CHECK_STR(err.msg, message);
}

static void errors(void)
{
	struct load_spec spec = short_one(LOAD_TURNS, LOAD_IPV4);

	spec.request = 0;
	refused(&spec, -EINVAL, "load: request: expected 1 to 16777216 bytes, got 0");
	spec.request = 1;
	spec.proxies = 3;
	refused(&spec, -EINVAL, "load: proxies: expected 0 to 2, got 3");
	spec.proxies = 1;
	spec.kind = LOAD_STREAM;
	refused(&spec, -EINVAL, "load: streams go through no proxies");
	spec.proxies = 0;
	spec.seconds = 0;
	refused(&spec, -EINVAL, "load: seconds: expected more than 0, got 0");
	spec.seconds = 0.05;
	spec.blocking = true;
	spec.connections = 2;
	refused(&spec, -EINVAL,
		"load: blocking sockets: expected turns or a stream, one connection, depth 1, no "
		"proxies");
	spec.blocking = false;
	spec.address = "127.1";
	refused(&spec, -EINVAL, "load: 127.1: expected an address");
	spec.address = NULL;
	spec.server.cgroup = "/nowhere";
	refused(&spec, -ENOENT, "load: /nowhere: not a cgroup (ENOENT)");
	spec.server.cgroup = NULL;
	spec.client.netns = "/nowhere";
	refused(&spec, -ENOENT, "load: /nowhere: no network namespace (ENOENT)");
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	CHECK(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void nothing_left(void)
{
	struct load_spec spec = short_one(LOAD_TURNS, LOAD_IPV4);
	int fds = count_fds();

	spec.proxies = 2;
	run(&spec);
	spec.client.cgroup = "/nowhere"; /* the others run already */
	CHECK_INT(load_run(&spec, &result, &err), -ENOENT);
	CHECK_INT(count_fds(), fds);
	CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
	CHECK_INT(errno, ECHILD);
}

static const struct t_case cases[] = {
	{ "requests and responses add up, in every family", turns },
	{ "requests that are sent together are counted one by one", batches },
	{ "a stream's bytes are those that arrived", streams },
	{ "connections are counted with what went over them", churn },
	{ "blocking sockets do the same", blocking },
	{ "proxies pass everything on", proxies },
	{ "more in flight than sockets hold does not get stuck", too_much },
	{ "idle connections take memory", memory },
	{ "each process is in the cgroup that it was told", in_cgroup },
	{ "each process is in the namespace that it was told", in_netns },
	{ "what makes no sense is refused in one line", errors },
	{ "no process and no descriptor is left", nothing_left },
};

T_MAIN(cases)
