// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Starts a tracer, measures it from outside, and ends it. Prints "key value" lines.
 *
 *   gauge start READY-TEXT TOOL...   how long from exec until the terminal shows READY-TEXT, the
 *                                    memory then, and how long from SIGINT to the end
 *   gauge child FILE TOOL...         the same start for bpftrace, which prints nothing once it is
 *                                    attached: the time until it runs its -c CMD, which has to be
 *                                    `gauge stamp FILE`
 *   gauge churn OUT TRAFFIC TOOL...  the time of a system call, one churn for time and CPU, and one
 *                                    for the time in BPF programs; TRAFFIC is the command for
 *                                    one, OUT takes what the tool prints, OUT.err its complaints
 *   gauge churn - TRAFFIC            the same without a tracer, for time only
 *   gauge events CALLS RATE OUT TOOL...   CALLS times getppid(), RATE in a second (0: as fast as
 *                                    possible), by gauge itself, whose pid stands for {} in TOOL's
 *                                    arguments: time per call, and CPU time of the tool, which
 *                                    gets no CPU but those that gauge does not use
 *   gauge events CALLS RATE -        the same without a tracer, for time only
 *
 * Before those, -t gives the tool a tracefs in a mount namespace of its own, and -n leaves out the
 * second churn.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MS  60000 /* a tool that takes longer is broken, also on an emulated machine */
#define QUIET_MS  100 /* using less than 2% of a CPU for so long: it has nothing left to do */
#define AGAIN_MS  5000 /* after which it gets another SIGINT */
#define MAX_PROGS 64
#define SYSCALLS  100000

struct prog {
	uint32_t id;
	uint64_t ns, runs;
};

static pid_t tool;
static uint64_t *exec_ns; /* shared: when the tool was executed */
static bool own_tracefs, no_stats;

static void end_tool(void)
{
	if (tool > 0) {
		kill(tool, SIGKILL);
		waitpid(tool, NULL, 0);
	}
}

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "gauge: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	end_tool();
	exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t))
		die("clock_gettime: %s", strerror(errno));
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void msleep(int ms)
{
	poll(NULL, 0, ms);
}

/* Only this process and what it starts see the mount. */
static void mount_tracefs(void)
{
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL))
		fprintf(stderr, "gauge: can't mount tracefs: %s\n", strerror(errno));
}

__attribute__((noreturn)) static void exec_tool(char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (own_tracefs)
		mount_tracefs();
	*exec_ns = now_ns();
	execvp(*argv, argv);
	fprintf(stderr, "%s: %s\n", *argv, strerror(errno));
	_exit(127);
}

static bool tool_ended(int *status)
{
	if (waitpid(tool, status, WNOHANG) != tool)
		return false;
	tool = 0;
	return true;
}

/* Reads what comes on a terminal for some time, so that the tool is not held up. */
static void drain(int *fd, int ms)
{
	uint64_t end = now_ns() + (uint64_t)ms * 1000000;
	struct pollfd p = { .fd = *fd, .events = POLLIN };
	char buf[65536];

	for (uint64_t now = now_ns(); now < end; now = now_ns()) {
		if (poll(&p, 1, (int)((end - now + 999999) / 1000000)) > 0 &&
		    read(*fd, buf, sizeof(buf)) <= 0)
			p.fd = *fd = -1;
	}
}

/* From SIGINT to the end, in ns; fd: its terminal, or -1. */
static uint64_t stop_tool(int fd)
{
	uint64_t start = now_ns(), again = start;
	int status;

	while (!tool_ended(&status)) {
		if (now_ns() - start > START_MS * 1000000ULL)
			die("the tool ignores SIGINT");
		if (now_ns() >= again) { /* bpftrace sometimes misses one */
			kill(tool, SIGINT);
			again = now_ns() + AGAIN_MS * 1000000ULL;
		}
		drain(&fd, 1);
	}
	return now_ns() - start;
}

static void say_ms(const char *key, uint64_t ns)
{
	printf("%s %.3f\n", key, (double)ns / 1e6);
}

/* The numbers of /proc/PID/status, and what of the resident memory is maps of BPF. */
static void say_memory(const char *when)
{
	char path[64], line[512], name[32];
	unsigned long long kb, bpf_kb = 0;
	bool bpf = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", tool);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%31[^:]: %llu kB", name, &kb) != 2)
			continue;
		if (!strncmp(name, "VmRSS", 5) || !strncmp(name, "VmHWM", 5) ||
		    !strncmp(name, "Rss", 3))
			printf("%s%s %llu\n", when, name, kb);
	}
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "/proc/%d/smaps", tool);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (isdigit((unsigned char)*line) || islower((unsigned char)*line))
			bpf = strstr(line, "bpf-map") || strstr(line, "bpf_map") ||
			      strstr(line, "perf_event");
		else if (bpf && sscanf(line, "Rss: %llu kB", &kb) == 1)
			bpf_kb += kb;
	}
	if (f)
		fclose(f);
	printf("%sRssMaps %llu\n", when, bpf_kb);
}

/* What the tool writes, until `text` is among it. Forgets all but the end. */
static void wait_text(int fd, const char *text)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t end = now_ns() + START_MS * 1000000ULL;
	char buf[65536];
	size_t have = 0;

	for (;;) {
		ssize_t n = 0;

		if (poll(&p, 1, 100) > 0)
			n = read(fd, buf + have, sizeof(buf) - 1 - have);
		if (n < 0 || now_ns() > end)
			die("the tool did not get ready, but said:\n%.*s", (int)have, buf);
		have += (size_t)n;
		buf[have] = 0;
		if (strstr(buf, text))
			return;
		if (have > sizeof(buf) / 2) {
			memmove(buf, buf + have / 2, have - have / 2);
			have -= have / 2;
		}
	}
}

static int cmd_start(char **argv)
{
	int pty;

	tool = forkpty(&pty, NULL, NULL, NULL);
	if (tool < 0)
		die("forkpty: %s", strerror(errno));
	if (!tool)
		exec_tool(argv + 1);
	wait_text(pty, argv[0]);
	say_ms("start_ms", now_ns() - *exec_ns);
	drain(&pty, QUIET_MS);
	say_memory("");
	say_ms("exit_ms", stop_tool(pty));
	return 0;
}

static int cmd_stamp(char **argv)
{
	FILE *f = fopen(argv[0], "w");

	if (!f)
		return 1;
	fprintf(f, "%llu\n", (unsigned long long)now_ns());
	return fclose(f) != 0;
}

static void silence(const char *out)
{
	char err[4096];
	int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	snprintf(err, sizeof(err), "%s.err", out);
	if (fd < 0 || dup2(fd, 1) < 0)
		die("%s: %s", out, strerror(errno));
	fd = open(strcmp(out, "/dev/null") ? err : out, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || dup2(fd, 2) < 0)
		die("%s: %s", err, strerror(errno));
}

static void start_tool(const char *out, char **argv)
{
	tool = fork();
	if (tool < 0)
		die("fork: %s", strerror(errno));
	if (!tool) {
		silence(out);
		exec_tool(argv);
	}
}

static int cmd_child(char **argv)
{
	unsigned long long stamp = 0;
	int status;
	FILE *f;

	start_tool("/dev/null", argv + 1);
	if (waitpid(tool, &status, 0) != tool)
		die("waitpid: %s", strerror(errno));
	tool = 0;
	f = fopen(argv[0], "r");
	if (!f || fscanf(f, "%llu", &stamp) != 1)
		die("%s did not run its command (status %#x)", argv[1], status);
	fclose(f);
	say_ms("start_ms", stamp - *exec_ns);
	return 0;
}

/* The BPF programs that the tool holds descriptors of, with their statistics. */
static int read_progs(struct prog *progs)
{
	char path[300], line[128];
	struct dirent *d;
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", tool);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		unsigned long long v, id = 0, ns = 0, runs = 0;
		bool is_prog = false, seen = false;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", tool, d->d_name);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f)) {
			if (sscanf(line, "prog_id: %llu", &v) == 1)
				id = v;
			else if (sscanf(line, "run_time_ns: %llu", &v) == 1)
				ns = v, is_prog = true;
			else if (sscanf(line, "run_cnt: %llu", &v) == 1)
				runs = v;
		}
		if (f)
			fclose(f);
		for (int i = 0; i < n; i++)
			seen |= progs[i].id == id;
		if (is_prog && !seen && n < MAX_PROGS)
			progs[n++] = (struct prog){ (uint32_t)id, ns, runs };
	}
	if (dir)
		closedir(dir);
	return n;
}

static long sys_bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static void prog_name(uint32_t id, char name[BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = {};
	union bpf_attr attr = { .prog_id = id };
	int fd = (int)sys_bpf(BPF_PROG_GET_FD_BY_ID, &attr);

	strcpy(name, "?");
	if (fd < 0)
		return;
	attr = (union bpf_attr){ .info = { .bpf_fd = (uint32_t)fd,
					   .info_len = sizeof(info),
					   .info = (uint64_t)(uintptr_t)&info } };
	if (!sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr))
		memcpy(name, info.name, BPF_OBJ_NAME_LEN);
	close(fd);
}

static uint64_t tool_cpu_ns(void)
{
	clockid_t clock;

	if (clock_getcpuclockid(tool, &clock))
		die("the tool has ended");
	return clock_ns(clock);
}

/* Waits until the tool does nothing any more, and first until it has BPF programs. */
static void wait_quiet(const char *out)
{
	uint64_t before = tool_cpu_ns(), end = now_ns() + START_MS * 1000000ULL;
	struct prog progs[MAX_PROGS];
	int status;

	for (;;) {
		uint64_t cpu;

		msleep(QUIET_MS);
		if (tool_ended(&status))
			die("the tool ended with status %#x; see %s.err", status, out);
		if (now_ns() > end)
			die("the tool did not get quiet");
		cpu = tool_cpu_ns();
		if (cpu - before < QUIET_MS * 20000ULL && read_progs(progs))
			return;
		before = cpu;
	}
}

/* Runs the traffic; its time in seconds, which is the slowest pair's. */
static double run_traffic(const char *command)
{
	double worst = 0, seconds;
	char line[512];
	FILE *f = popen(command, "re");

	if (!f)
		die("%s: %s", command, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, "\"seconds\":");

		if (at && sscanf(at, "\"seconds\":%lf", &seconds) == 1 && seconds > worst)
			worst = seconds;
	}
	if (pclose(f) || worst == 0)
		die("%s failed", command);
	return worst;
}

/* Time in BPF programs during one churn. Statistics are on while the descriptor lives. */
static void churn_with_stats(const char *command, const char *out)
{
	union bpf_attr attr = { .enable_stats.type = BPF_STATS_RUN_TIME };
	struct prog before[MAX_PROGS], after[MAX_PROGS];
	int fd = (int)sys_bpf(BPF_ENABLE_STATS, &attr), nb, na;
	char name[BPF_OBJ_NAME_LEN];
	double seconds;

	if (fd < 0)
		die("BPF_ENABLE_STATS: %s", strerror(errno));
	nb = read_progs(before);
	seconds = run_traffic(command);
	na = read_progs(after);
	close(fd);
	printf("stats_seconds %f\n", seconds);
	for (int i = 0; i < na; i++) {
		uint64_t ns = after[i].ns, runs = after[i].runs;

		for (int j = 0; j < nb; j++) {
			if (before[j].id == after[i].id) {
				ns -= before[j].ns;
				runs -= before[j].runs;
			}
		}
		if (!runs)
			continue;
		prog_name(after[i].id, name);
		printf("prog %s %llu %llu\n", name, (unsigned long long)runs,
		       (unsigned long long)ns);
	}
	wait_quiet(out);
}

/* A system call that no tracer is interested in: the shortest mean of some rounds, in ns. */
static void say_syscall(void)
{
	uint64_t best = UINT64_MAX;

	for (int round = 0; round < 8; round++) {
		uint64_t start = now_ns();

		for (int i = 0; i < SYSCALLS; i++)
			syscall(SYS_getppid);
		start = now_ns() - start;
		if (start < best)
			best = start;
	}
	printf("syscall_ns %.1f\n", (double)best / SYSCALLS);
}

static int cmd_churn(char **argv)
{
	const char *out = argv[0], *command = argv[1];
	uint64_t cpu;

	if (!strcmp(out, "-")) {
		say_syscall();
		printf("seconds %f\n", run_traffic(command));
		return 0;
	}
	start_tool(out, argv + 2);
	wait_quiet(out);
	say_syscall();
	cpu = tool_cpu_ns();
	printf("seconds %f\n", run_traffic(command));
	wait_quiet(out);
	printf("cpu_ns %llu\n", (unsigned long long)(tool_cpu_ns() - cpu));
	if (!no_stats)
		churn_with_stats(command, out);
	say_memory("Later");
	stop_tool(-1);
	return 0;
}

/* The tool gets all CPUs but the last one, which is for this process. */
static void share_cpus(bool is_tool)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	CPU_ZERO(&set);
	for (long i = 0; i < n; i++)
		if ((i == n - 1) != is_tool || n == 1)
			CPU_SET(i, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Mean time of a getppid(), numbered by an argument that the kernel ignores. */
static double call_ns(long calls, long rate)
{
	uint64_t start = now_ns(), spent = 0;

	if (!rate) {
		for (long i = 0; i < calls; i++)
			syscall(SYS_getppid, i);
		return (double)(now_ns() - start) / (double)calls;
	}
	for (long i = 0; i < calls; i++) {
		uint64_t due = start + (uint64_t)i * 1000000000 / (uint64_t)rate, now;

		while ((now = now_ns()) < due)
			;
		syscall(SYS_getppid, i);
		spent += now_ns() - now;
	}
	return (double)spent / (double)calls;
}

/* User and system time of the tool in clock ticks: the share is good, the sum is coarse. */
static void read_ticks(unsigned long long ticks[2])
{
	char path[64], text[1024] = "";
	const char *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", tool);
	f = fopen(path, "r");
	if (f && !fread(text, 1, sizeof(text) - 1, f))
		*text = 0;
	if (f)
		fclose(f);
	end = strrchr(text, ')');
	if (!end || sscanf(end + 2, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu",
			   &ticks[0], &ticks[1]) != 2)
		die("%s can't be read", path);
}

static void fill_in_pid(char **argv)
{
	static char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	for (; *argv; argv++)
		if (!strcmp(*argv, "{}"))
			*argv = pid;
}

static int cmd_events(char **argv)
{
	long calls = atol(argv[0]), rate = atol(argv[1]);
	unsigned long long before[2], after[2];
	const char *out = argv[2];
	uint64_t cpu, start;

	if (calls <= 0)
		die("no calls");
	if (!strcmp(out, "-")) {
		share_cpus(false);
		printf("call_ns %.1f\n", call_ns(calls, rate));
		return 0;
	}
	fill_in_pid(argv + 3);
	share_cpus(true); /* inherited by the tool */
	start_tool(out, argv + 3);
	wait_quiet(out);
	share_cpus(false);
	read_ticks(before);
	cpu = tool_cpu_ns();
	start = now_ns();
	printf("call_ns %.1f\n", call_ns(calls, rate));
	printf("seconds %f\n", (double)(now_ns() - start) / 1e9);
	wait_quiet(out);
	printf("cpu_ns %llu\n", (unsigned long long)(tool_cpu_ns() - cpu));
	read_ticks(after);
	printf("user_ticks %llu\nsys_ticks %llu\n", after[0] - before[0], after[1] - before[1]);
	stop_tool(-1);
	return 0;
}

/* The traffic is in this group. The tool may have one of its own, as it has with a terminal. */
static void on_signal(int sig)
{
	(void)sig;
	if (tool > 0)
		kill(tool, SIGKILL);
	kill(0, SIGKILL);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(char **argv);
		int args;
	} commands[] = {
		{ "start", cmd_start, 2 },
		{ "child", cmd_child, 2 },
		{ "churn", cmd_churn, 2 },
		{ "stamp", cmd_stamp, 1 },
		{ "events", cmd_events, 3 },
	};

	exec_ns = mmap(NULL, sizeof(*exec_ns), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (exec_ns == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	setpgid(0, 0);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	for (argv++, argc--; argc && **argv == '-'; argv++, argc--) {
		own_tracefs |= !strcmp(*argv, "-t");
		no_stats |= !strcmp(*argv, "-n");
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (argc > commands[i].args && !strcmp(*argv, commands[i].name))
			return commands[i].run(argv + 1);
	}
	die("usage: gauge [-tn] start|child|churn|stamp|events ...");
}
