/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Ending a redirect that is pinned: by its own process, or in its place. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <bpf/bpf.h>
#include "redirect_priv.h"
#include "redirect_view.h"
#include "util.h"

static int make_sweeper(const struct redirect_view *v, const char *root)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	union bpf_iter_link_info info = { .map.map_fd = (uint32_t)v->fds[PART_FLOWS] };
	char path[PATH_MAX];
	int prog, link;

	snprintf(path, sizeof(path), "%s/%s/" REDIRECT_SWEEP, root, v->info.name);
	prog = bpf_obj_get(path);
	if (prog < 0)
		return -errno;
	opts.iter_info = &info;
	opts.iter_info_len = sizeof(info);
	link = bpf_link_create(prog, 0, BPF_TRACE_ITER, &opts);
	close(prog);
	return link;
}

static int remove_pins(const char *root, const char *name, struct err *err)
{
	int rc = redirect_pins_remove(root, name);

	return rc ? err_sys(err, rc, "can't remove the pins of \"%s\"", name) : 0;
}

/* Lets the connections go, as its process would have done. How many could not be, or -errno: none was. */
static int let_all_go(const struct redirect_view *v, const char *root, uint64_t timeout_ns)
{
	struct redirect r = { .flows_fd = v->fds[PART_FLOWS] };
	int rc;

	r.config = redirect_memory(v->fds[PART_CONFIGS]);
	r.totals = redirect_memory(v->fds[PART_COUNTS]);
	r.sweep_fd = make_sweeper(v, root);
	rc = r.config && r.totals ? r.sweep_fd : -ENOMEM;
	if (rc >= 0)
		rc = redirect_stop(&r, timeout_ns);
	close_fd(&r.sweep_fd);
	redirect_unmap(r.config);
	redirect_unmap(r.totals);
	return rc;
}

/* What is not let go keeps its pins: another try finds it. */
static int end_dead(const struct redirect_view *v, const char *root, uint64_t timeout_ns,
		    struct redirect_ended *ended, struct err *err)
{
	int rc = let_all_go(v, root, timeout_ns);

	if (rc < 0)
		return err_sys(err, rc, "can't let go the connections of \"%s\"", ended->name);
	ended->was_dead = true;
	ended->left = (uint32_t)rc;
	return remove_pins(root, ended->name, err);
}

/* 0: the process has ended */
static int end_process(const struct redirect_view *v, uint64_t timeout_ns, struct err *err)
{
	int pid = (int)v->info.pid;
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), rc = 0;
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0)
		return errno == ESRCH ? 0 : err_sys(err, -errno, "can't get hold of pid %d", pid);
	/* now the pid can't become another's any more */
	if (redirect_process_started(pid) == v->info.started) {
		if (syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0))
			rc = err_sys(err, -errno, "can't end pid %d", pid);
		else if (poll(&p, 1, (int)(timeout_ns / NSEC_PER_MSEC)) == 0)
			rc = err_set(err, -ETIMEDOUT, "pid %d has not ended after %d s", pid,
				     (int)(timeout_ns / NSEC_PER_SEC));
	}
	close(pidfd);
	return rc;
}

static int end_view(struct redirect_view *v, const char *root, uint64_t timeout_ns,
		    struct redirect_ended *ended, struct err *err)
{
	struct redirect_info info;
	uint32_t zero = 0;
	char path[PATH_MAX];
	int rc;

	ended->pid = v->info.pid;
	if (!v->alive)
		return end_dead(v, root, timeout_ns, ended, err);
	rc = end_process(v, timeout_ns, err);
	if (rc)
		return rc;
	snprintf(path, sizeof(path), "%s/%s", root, ended->name);
	if (access(path, F_OK) == 0) /* it died on its way out */
		return end_dead(v, root, timeout_ns, ended, err);
	if (bpf_map_lookup_elem(v->info_fd, &zero, &info) == 0)
		ended->left = info.left;
	return 0;
}

int redirect_end(const char *name, uint64_t timeout_ns, struct redirect_ended *ended,
		 struct err *err)
{
	struct redirect_view view;
	char root[REDIRECT_ROOT];
	int rc = redirect_pins_root(root, sizeof(root), err);

	if (rc)
		return rc;
	memset(ended, 0, sizeof(*ended));
	snprintf(ended->name, sizeof(ended->name), "%s", name);
	if (strchr(name, '/') || redirect_view_open(&view, root, name))
		return err_set(err, -ENOENT, "no redirect is called \"%s\"", name);
	rc = end_view(&view, root, timeout_ns, ended, err);
	redirect_view_close(&view);
	return rc;
}

/* 1: it is alive */
static int clean_one(const char *root, const char *name, uint64_t timeout_ns,
		     struct redirect_ended *ended, struct err *err)
{
	struct redirect_view view;
	int rc = 1;

	memset(ended, 0, sizeof(*ended));
	snprintf(ended->name, sizeof(ended->name), "%s", name);
	/* half made: nobody makes it now, for we have the lock */
	if (redirect_view_open(&view, root, name))
		return remove_pins(root, name, err);
	ended->pid = view.info.pid;
	if (!view.alive)
		rc = end_dead(&view, root, timeout_ns, ended, err);
	redirect_view_close(&view);
	return rc;
}

int redirect_clean(uint64_t timeout_ns, void (*fn)(void *arg, const struct redirect_ended *ended),
		   void *arg, struct err *err)
{
	struct redirect_ended ended;
	char root[REDIRECT_ROOT];
	const char *name;
	int rc = redirect_pins_root(root, sizeof(root), err), lock;
	DIR *dir;

	if (rc)
		return rc;
	lock = redirect_pins_lock(root);
	dir = opendir(root);
	while (rc >= 0 && dir && (name = redirect_next_name(dir))) {
		rc = clean_one(root, name, timeout_ns, &ended, err);
		if (!rc)
			fn(arg, &ended);
	}
	if (dir)
		closedir(dir);
	close_fd(&lock);
	return rc < 0 ? rc : 0;
}
