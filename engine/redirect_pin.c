/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "object.h"
#include "redirect_pin.h"
#include "redirect_priv.h"
#include "redirect_view.h"
#include "util.h"

const char *const redirect_parts[NR_PARTS] = {
	[PART_FLOWS] = "redirect_flows", [PART_REFUSED] = "refused", [PART_COUNTS] = "counts",
	[PART_CONFIGS] = "configs",      [PART_SOCKETS] = "sockets",
};

uint64_t redirect_process_started(int pid)
{
	unsigned long long started = 0;
	char path[64], text[512], state = 'Z';
	const char *at;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	/* the name, in brackets, may have anything in it */
	at = f && fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
	if (f)
		fclose(f);
	if (!at ||
	    sscanf(at,
		   ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
		   "%*s %llu",
		   &state, &started) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : started;
}

int redirect_pins_root(char *path, size_t size, struct err *err)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	const struct mntent *m;

	*path = '\0';
	while (mounts && (m = getmntent(mounts)))
		if (str_eq(m->mnt_type, "bpf") && (!*path || str_eq(m->mnt_dir, "/sys/fs/bpf")))
			snprintf(path, size, "%s/bpfnet/redirect", m->mnt_dir);
	if (mounts)
		endmntent(mounts);
	if (*path)
		return 0;
	err_set(err, -ENOENT, "no BPF file system is mounted, which pins need");
	err_hint(err, "mount -t bpf bpf /sys/fs/bpf");
	return -ENOENT;
}

int redirect_pins_lock(const char *root)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		flock(fd, LOCK_EX);
	return fd;
}

const char *redirect_next_name(DIR *dir)
{
	const struct dirent *e = dir ? readdir(dir) : NULL;

	while (e && e->d_name[0] == '.')
		e = readdir(dir);
	return e ? e->d_name : NULL;
}

int redirect_pins_remove(const char *root, const char *name)
{
	char path[PATH_MAX];
	const char *pin;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	dir = opendir(path);
	while (dir && (pin = redirect_next_name(dir)))
		unlinkat(dirfd(dir), pin, 0);
	if (dir)
		closedir(dir);
	return rmdir(path) ? -errno : 0;
}

static int check_form(const char *name, struct err *err)
{
	size_t len = strlen(name);
	bool good = len > 0 && len < REDIRECT_NAME && isalnum((unsigned char)*name);

	for (const char *c = name; *c; c++)
		good = good && (isalnum((unsigned char)*c) || strchr("-_", *c));
	return good ? 0 :
		      err_set(err, -EINVAL,
			      "a name has up to %d letters, digits, - and _, got \"%s\"",
			      REDIRECT_NAME - 1, name);
}

static int check_free(const char *root, const char *name, struct err *err)
{
	struct redirect_view view;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	if (access(path, F_OK))
		return 0;
	if (redirect_view_open(&view, root, name)) {
		err_set(err, -EEXIST, "\"%s\" was left behind half made", name);
		err_hint(err, "bpfnet redirect clean");
		return -EEXIST;
	}
	if (view.alive)
		err_set(err, -EEXIST, "\"%s\" runs already, as pid %u", name, view.info.pid);
	else
		err_set(err, -EEXIST, "\"%s\" is there already, but its process %u is gone", name,
			view.info.pid);
	err_hint(err, "bpfnet redirect stop %s", name);
	redirect_view_close(&view);
	return -EEXIST;
}

int redirect_name_check(const char *name, struct err *err)
{
	char root[REDIRECT_ROOT];
	int rc = check_form(name, err);

	if (!rc)
		rc = redirect_pins_root(root, sizeof(root), err);
	return rc ? rc : check_free(root, name, err);
}

static int map_fd(const struct redirect *r, enum redirect_part part)
{
	return bpf_object__find_map_fd_by_name(object_bpf(r->obj), redirect_parts[part]);
}

static uint32_t map_id(int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static int write_info(struct redirect *r, const char *name, const char *scope)
{
	struct redirect_info info = { .since_s = (uint64_t)time(NULL) };
	uint32_t zero = 0;

	info.pid = (uint32_t)getpid();
	info.started = redirect_process_started(getpid());
	for (int i = 0; i < NR_PARTS; i++)
		info.ids[i] = map_id(map_fd(r, i));
	snprintf(info.name, sizeof(info.name), "%s", name ? name : "");
	snprintf(info.scope, sizeof(info.scope), "%s", scope);
	r->info_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, REDIRECT_INFO, sizeof(zero), sizeof(info),
				    1, NULL);
	if (r->info_fd < 0)
		return -errno;
	return bpf_map_update_elem(r->info_fd, &zero, &info, BPF_ANY);
}

static int pin(int fd, const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return bpf_obj_pin(fd, path) ? -errno : 0;
}

/* First what says whose it is. */
static int pin_all(const struct redirect *r, const char *dir)
{
	const struct bpf_program *sweep =
		bpf_object__find_program_by_name(object_bpf(r->obj), "sweep");
	int rc = pin(r->info_fd, dir, REDIRECT_INFO);
	char name[32];

	for (int i = 0; i < NR_PARTS && !rc; i++)
		rc = pin(map_fd(r, i), dir, redirect_parts[i]);
	if (!rc)
		rc = pin(bpf_program__fd(sweep), dir, REDIRECT_SWEEP);
	for (int i = 0; i < r->nr_links && !rc; i++) {
		snprintf(name, sizeof(name), "cgroup%d", i);
		rc = pin(bpf_link__fd(r->links[i]), dir, name);
	}
	return rc;
}

static int make_dirs(const char *root)
{
	char parent[REDIRECT_ROOT];

	snprintf(parent, sizeof(parent), "%s", root);
	*strrchr(parent, '/') = '\0';
	if ((mkdir(parent, 0700) && errno != EEXIST) || (mkdir(root, 0700) && errno != EEXIST))
		return -errno;
	return 0;
}

static int pin_locked(struct redirect *r, const char *root, const char *name, struct err *err)
{
	char dir[REDIRECT_ROOT + REDIRECT_NAME];
	int rc = check_free(root, name, err);

	if (rc)
		return rc;
	snprintf(dir, sizeof(dir), "%s/%s", root, name);
	rc = mkdir(dir, 0700) ? -errno : pin_all(r, dir);
	if (rc) {
		redirect_pins_remove(root, name);
		return err_sys(err, rc, "can't pin below %s", dir);
	}
	r->pins = strdup(name);
	return r->pins ? 0 : err_set(err, -ENOMEM, "out of memory");
}

int redirect_publish(struct redirect *r, const char *name, const char *scope, struct err *err)
{
	char root[REDIRECT_ROOT];
	int rc = name ? check_form(name, err) : 0, lock;

	if (rc)
		return rc;
	rc = write_info(r, name, scope);
	if (rc)
		return err_sys(err, rc, "can't make the map " REDIRECT_INFO);
	if (!name)
		return 0;
	rc = redirect_pins_root(root, sizeof(root), err);
	if (rc)
		return rc;
	rc = make_dirs(root);
	if (rc)
		return err_sys(err, rc, "can't make %s", root);
	lock = redirect_pins_lock(root);
	rc = pin_locked(r, root, name, err);
	close_fd(&lock);
	return rc;
}

/* What the process that told it to stop wants to know. */
static void write_left(const struct redirect *r)
{
	struct redirect_info info;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(r->info_fd, &zero, &info))
		return;
	info.left = (uint32_t)((r->totals->live + r->totals->leaving + 1) / 2);
	bpf_map_update_elem(r->info_fd, &zero, &info, BPF_ANY);
}

void redirect_unpublish(struct redirect *r)
{
	char root[REDIRECT_ROOT];
	struct err err;

	if (r->pins) {
		write_left(r);
		if (redirect_pins_root(root, sizeof(root), &err) == 0)
			redirect_pins_remove(root, r->pins);
	}
	free(r->pins);
	r->pins = NULL;
	if (r->info_fd > 0)
		close_fd(&r->info_fd);
}
