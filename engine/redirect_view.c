/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <bpf/bpf.h>
#include "redirect_priv.h"
#include "redirect_view.h"
#include "util.h"

static int get_pin(const char *root, const char *name, const char *part)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/%s", root, name, part);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

/* A map of ours by its name and size; another program's may be called the same. */
static bool is_info(int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && str_eq(info.name, REDIRECT_INFO) &&
	       info.type == BPF_MAP_TYPE_ARRAY && info.value_size == sizeof(struct redirect_info);
}

static int read_info(struct redirect_view *v)
{
	uint32_t zero = 0;

	if (!is_info(v->info_fd) || bpf_map_lookup_elem(v->info_fd, &zero, &v->info))
		return -EINVAL;
	v->info.name[REDIRECT_NAME - 1] = v->info.scope[REDIRECT_SCOPE - 1] = '\0';
	v->alive = v->info.started && redirect_process_started((int)v->info.pid) == v->info.started;
	return 0;
}

static void read_config(struct redirect_view *v)
{
	struct redirect_config config = { 0 };
	uint32_t zero = 0;

	bpf_map_lookup_elem(v->fds[PART_CONFIGS], &zero, &config);
	v->goes_on = config.goes_on && !config.stopping;
}

static void start_view(struct redirect_view *v, int info_fd)
{
	*v = (struct redirect_view){ .info_fd = info_fd };
	for (int i = 0; i < NR_PARTS; i++)
		v->fds[i] = -1;
}

int redirect_view_open(struct redirect_view *v, const char *root, const char *name)
{
	int rc;

	start_view(v, get_pin(root, name, REDIRECT_INFO));
	rc = v->info_fd < 0 ? v->info_fd : read_info(v);
	v->pinned = true;
	for (int i = 0; i < NR_PARTS && !rc; i++) {
		v->fds[i] = get_pin(root, name, redirect_parts[i]);
		rc = v->fds[i] < 0 ? v->fds[i] : 0;
	}
	if (rc)
		redirect_view_close(v);
	else
		read_config(v);
	return rc;
}

/* One that is not pinned, by its map; takes the descriptor. */
static int open_by_ids(struct redirect_view *v, int info_fd)
{
	int rc;

	start_view(v, info_fd);
	rc = read_info(v);
	for (int i = 0; i < NR_PARTS && !rc; i++) {
		v->fds[i] = bpf_map_get_fd_by_id(v->info.ids[i]);
		rc = v->fds[i] < 0 ? -errno : 0;
	}
	if (rc)
		redirect_view_close(v);
	else
		read_config(v);
	return rc;
}

void redirect_view_close(struct redirect_view *v)
{
	for (int i = 0; i < NR_PARTS; i++)
		close_fd(&v->fds[i]);
	close_fd(&v->info_fd);
}

static void each_pinned(void (*fn)(void *arg, const struct redirect_view *view), void *arg)
{
	struct redirect_view view;
	char root[REDIRECT_ROOT];
	struct err err;
	const char *name;
	DIR *dir;

	if (redirect_pins_root(root, sizeof(root), &err))
		return;
	dir = opendir(root);
	while (dir && (name = redirect_next_name(dir))) {
		if (redirect_view_open(&view, root, name))
			continue;
		fn(arg, &view);
		redirect_view_close(&view);
	}
	if (dir)
		closedir(dir);
}

int redirect_views(void (*fn)(void *arg, const struct redirect_view *view), void *arg,
		   struct err *err)
{
	struct redirect_view view;
	uint32_t id = 0;
	int fd;

	each_pinned(fn, arg);
	while (bpf_map_get_next_id(id, &id) == 0) {
		fd = bpf_map_get_fd_by_id(id);
		if (fd < 0 || !is_info(fd)) {
			close_fd(&fd);
			continue;
		}
		if (open_by_ids(&view, fd))
			continue;
		if (!view.info.name[0])
			fn(arg, &view);
		redirect_view_close(&view);
	}
	return errno == EPERM ? err_set(err, -EPERM,
					"not permitted to look for redirects that are "
					"not pinned: lacks CAP_SYS_ADMIN") :
				0;
}

/* What redirect.c reads flows with. */
static struct redirect reader_of(const struct redirect_view *v)
{
	return (struct redirect){ .flows_fd = v->fds[PART_FLOWS],
				  .refused_fd = v->fds[PART_REFUSED] };
}

void redirect_view_each(const struct redirect_view *v,
			void (*fn)(void *arg, uint64_t cookie, const struct redirect_flow *flow),
			void *arg)
{
	struct redirect r = reader_of(v);

	redirect_each(&r, fn, arg);
}

void redirect_view_each_refused(const struct redirect_view *v,
				void (*fn)(void *arg, uint64_t cookie,
					   const struct redirect_refusal *r),
				void *arg)
{
	struct redirect r = reader_of(v);

	redirect_each_refused(&r, fn, arg);
}

static void add_flow(void *arg, uint64_t cookie, const struct redirect_flow *flow)
{
	struct redirect_stats *stats = arg;

	(void)cookie;
	stats->live += flow->mode == FLOW_ON;
	stats->leaving += flow->mode == FLOW_ALONE || flow->mode == FLOW_LEAVING ||
			  flow->mode == FLOW_PASSING;
	stats->sent.redirected_bytes += flow->redirected_bytes;
	stats->sent.redirected_msgs += flow->redirected_msgs;
	stats->sent.passed_bytes += flow->passed_bytes;
	stats->sent.passed_msgs += flow->passed_msgs;
}

void redirect_view_stats(const struct redirect_view *v, struct redirect_stats *stats)
{
	struct redirect_totals t = { 0 };
	uint32_t zero = 0;

	memset(stats, 0, sizeof(*stats));
	bpf_map_lookup_elem(v->fds[PART_COUNTS], &zero, &t);
	stats->sent = t.closed;
	redirect_view_each(v, add_flow, stats);
	/* again, so that no more are live than were taken */
	bpf_map_lookup_elem(v->fds[PART_COUNTS], &zero, &t);
	stats->taken = t.taken;
	stats->refused = t.refused;
	stats->let_go = t.left;
	stats->lost_notices = t.lost_notices;
	stats->live /= 2;
	stats->leaving = (stats->leaving + 1) / 2;
}
