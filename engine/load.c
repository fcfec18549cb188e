/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The processes of a load: started one after the other, watched, ended. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "hist.h"
#include "load_priv.h"

#define START_MS 20000 /* for what goes before the warm-up; thousands of connections take seconds */
#define MIN_ROOM (128U << 10)

typedef int (*role_fn)(struct load_role *role);

void load_defaults(struct load_spec *spec)
{
	*spec = (struct load_spec){
		.connections = 1,
		.depth = 1,
		.request = 64,
		.response = 64,
		.warmup = 0.3,
		.seconds = 1,
	};
}

static int check_message(const char *name, uint32_t bytes, struct err *err)
{
	if (bytes >= 1 && bytes <= LOAD_MAX_MESSAGE)
		return 0;
	return err_set(err, -EINVAL, "load: %s: expected 1 to %u bytes, got %u", name,
		       LOAD_MAX_MESSAGE, bytes);
}

static int check_number(const char *name, int n, int least, int most, struct err *err)
{
	if (n >= least && n <= most)
		return 0;
	return err_set(err, -EINVAL, "load: %s: expected %d to %d, got %d", name, least, most, n);
}

static int check_spec(const struct load_spec *spec, struct err *err)
{
	int rc = check_message("request", spec->request, err);

	rc = rc ? rc : check_message("response", spec->response, err);
	rc = rc ? rc : check_number("connections", spec->connections, 1, LOAD_MAX_CONNECTIONS, err);
	rc = rc ? rc : check_number("depth", spec->depth, 1, 65536, err);
	rc = rc ? rc : check_number("exchanges", spec->exchanges, 0, 1 << 20, err);
	rc = rc ? rc : check_number("proxies", spec->proxies, 0, LOAD_MAX_PROXIES, err);
	if (rc)
		return rc;
	if (!(spec->seconds > 0))
		return err_set(err, -EINVAL, "load: seconds: expected more than 0, got %g",
			       spec->seconds);
	if (!(spec->warmup >= 0))
		return err_set(err, -EINVAL, "load: warmup: expected 0 or more, got %g",
			       spec->warmup);
	if (spec->kind == LOAD_STREAM && spec->proxies)
		return err_set(err, -EINVAL, "load: streams go through no proxies");
	if (spec->blocking &&
	    (spec->kind == LOAD_CHURN || spec->proxies || spec->connections > 1 || spec->depth > 1))
		return err_set(
			err, -EINVAL,
			"load: blocking sockets: expected turns or a stream, one connection, "
			"depth 1, no proxies");
	return 0;
}

static role_fn server_of(const struct load_spec *spec)
{
	if (spec->kind == LOAD_STREAM)
		return load_sink;
	return spec->blocking ? load_serve_blocking : load_serve;
}

static role_fn client_of(const struct load_spec *spec)
{
	if (spec->kind == LOAD_STREAM)
		return load_pour;
	if (spec->kind == LOAD_CHURN)
		return load_churn;
	return spec->blocking ? load_ask_blocking : load_ask;
}

/* Two descriptors for each connection of a proxy, and a few. */
static void raise_limit(const struct load_spec *spec)
{
	rlim_t want = 2 * (rlim_t)spec->connections + 64;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= want)
		return;
	limit.rlim_cur = want;
	if (limit.rlim_max < want)
		limit.rlim_max = want;
	setrlimit(RLIMIT_NOFILE, &limit); /* if not, opening them fails, and says so */
}

/* Nothing is read that was not written before: pages that are all zero would be one page. */
static int make_buffers(struct load_role *role)
{
	uint32_t most = role->spec->request > role->spec->response ? role->spec->request :
								     role->spec->response;

	role->room = most > MIN_ROOM ? most : MIN_ROOM;
	role->in = malloc(role->room);
	role->out = malloc(role->room);
	if (!role->in || !role->out)
		return err_set(role->err, -ENOMEM, "load: out of memory");
	memset(role->in, 'i', role->room);
	memset(role->out, 'o', role->room);
	return 0;
}

__attribute__((noreturn)) static void role_main(struct load_role *role, role_fn run)
{
	const struct load_spec *spec = role->spec;
	bool client = role->index == spec->proxies + 1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	raise_limit(spec);
	if (load_enter(client ? &spec->client : &spec->server, role->err) || make_buffers(role))
		_exit(1);
	role->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (role->epoll < 0) {
		err_sys(role->err, -errno, "load: epoll");
		_exit(1);
	}
	if (run(role))
		_exit(1);
	/* The client's end, said before its sockets are closed: what that does to the others is no error. */
	_exit(write(role->ready, "", 1) != 1);
}

/* Starts one; its pidfd or -errno. */
static int start_role(struct load_role *role, role_fn run)
{
	pid_t pid = fork();
	int fd;

	if (pid < 0)
		return err_sys(role->err, -errno, "load: fork");
	if (!pid)
		role_main(role, run);
	role->shared->pids[role->index] = pid;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return fd >= 0 ? fd : err_sys(role->err, -errno, "load: pidfd_open");
}

/* Waits until the last one says that it is ready, or one ends. 0, or -errno with the reason. */
static int wait_for(struct pollfd *fds, int n, int ms, struct load_shared *shared, struct err *err)
{
	int rc = poll(fds, (nfds_t)n + 1, ms);

	if (rc < 0)
		return err_sys(err, -errno, "load: poll");
	if (!rc)
		return err_set(err, -ETIMEDOUT, "load: no end after %d ms", ms);
	if (fds[n].revents & POLLIN)
		return 0;
	for (int i = 0; i < n; i++) {
		if (!fds[i].revents)
			continue;
		*err = shared->errs[i];
		if (!err->code)
			err_set(err, -ECHILD, "load: process %d of %d was killed", i + 1, n);
	}
	return err->code;
}

/* All of them, each when the one before is ready; then until the client is. */
static int run_roles(const struct load_spec *spec, struct load_shared *shared, int ready[2],
		     struct pollfd *fds, struct err *err)
{
	int n = spec->proxies + 2, ms = (int)((spec->warmup + spec->seconds) * 1e3) + START_MS;

	for (int i = 0; i < n; i++) {
		struct load_role role = { .spec = spec,
					  .shared = shared,
					  .err = &shared->errs[i],
					  .index = i,
					  .ready = ready[1],
					  .listener = -1 };
		role_fn run = i == 0 ? server_of(spec) : i == n - 1 ? client_of(spec) : load_relay;
		char byte;
		int rc;

		rc = start_role(&role, run);
		if (rc < 0) {
			*err = *role.err;
			return rc;
		}
		fds[i] = (struct pollfd){ .fd = rc, .events = POLLIN };
		fds[i + 1] = (struct pollfd){ .fd = ready[0], .events = POLLIN };
		rc = wait_for(fds, i + 1, ms, shared, err);
		if (rc)
			return rc;
		if (read(ready[0], &byte, 1) != 1)
			return err_sys(err, -errno, "load: pipe");
	}
	return 0;
}

static void end_roles(struct load_shared *shared, struct pollfd *fds)
{
	for (int i = 0; i < LOAD_ROLES; i++) {
		if (shared->pids[i] <= 0)
			continue;
		kill(shared->pids[i], SIGKILL);
		waitpid(shared->pids[i], NULL, 0);
		if (fds[i].fd >= 0)
			close(fds[i].fd);
	}
}

static int fill_latency(const struct load_shared *shared, struct load_result *result)
{
	struct hist hist = { 0 };
	double max = (double)shared->max_ns;
	int rc = 0;

	for (int i = 0; i < LOAD_BUCKETS && !rc; i++)
		if (shared->counts[i])
			rc = hist_add(&hist, i + hist_offset(HIST_NS), shared->counts[i]);
	if (!rc && shared->max_ns) {
		result->p50_ns = fmax(0, hist_quantile(&hist, HIST_NS, 0.5, 0, max));
		result->p90_ns = fmax(0, hist_quantile(&hist, HIST_NS, 0.9, 0, max));
		result->p99_ns = fmax(0, hist_quantile(&hist, HIST_NS, 0.99, 0, max));
		result->max_ns = max;
	}
	hist_free(&hist);
	return rc;
}

static int fill_result(const struct load_shared *shared, struct load_result *result,
		       struct err *err)
{
	*result = (struct load_result){
		.ops = shared->ops,
		.bytes = shared->bytes,
		.seconds = (double)(shared->end_ns - shared->start_ns) / 1e9,
		.cpu_seconds = (double)shared->cpu_ns / 1e9,
		.memory_bytes = shared->memory_bytes,
		.slab_bytes = shared->slab_bytes,
	};
	result->rate = (double)result->ops / result->seconds;
	if (fill_latency(shared, result))
		return err_set(err, -ENOMEM, "load: out of memory");
	return 0;
}

int load_run(const struct load_spec *spec, struct load_result *result, struct err *err)
{
	struct pollfd fds[LOAD_ROLES + 1];
	struct load_shared *shared;
	int rc = check_spec(spec, err), ready[2];

	if (rc)
		return rc;
	for (int i = 0; i <= LOAD_ROLES; i++)
		fds[i].fd = -1;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return err_sys(err, -errno, "load: memory");
	if (pipe2(ready, O_CLOEXEC)) {
		munmap(shared, sizeof(*shared));
		return err_sys(err, -errno, "load: pipe");
	}
	rc = run_roles(spec, shared, ready, fds, err);
	end_roles(shared, fds);
	if (!rc)
		rc = fill_result(shared, result, err);
	close(ready[0]);
	close(ready[1]);
	munmap(shared, sizeof(*shared));
	return rc;
}
