/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Where the redirect's programs run: on its map, in iterators, and on the cgroups, last of all. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "object.h"
#include "redirect_priv.h"
#include "redirect_trial.h"
#include "util.h"

static struct bpf_link *iterator(struct redirect *r, const char *name, const char *map)
{
	LIBBPF_OPTS(bpf_iter_attach_opts, opts);
	union bpf_iter_link_info info = { .map.map_fd = map ? (uint32_t)redirect_map(r, map) : 0 };

	if (map) {
		opts.link_info = &info;
		opts.link_info_len = sizeof(info);
	}
	return bpf_program__attach_iter(redirect_program(r, name), &opts);
}

/* redirect_abi.h says what bpf/redirect.h says. */
static int check_layouts(const struct redirect *r, struct err *err)
{
	static const struct {
		const char *map;
		size_t size;
	} layouts[] = {
		{ "redirect_flows", sizeof(struct redirect_flow) },
		{ "refused", sizeof(struct redirect_refusal) },
		{ "configs", sizeof(struct redirect_config) },
		{ "counts", sizeof(struct redirect_totals) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		const struct bpf_map *map =
			bpf_object__find_map_by_name(object_bpf(r->obj), layouts[i].map);

		if (bpf_map__value_size(map) != layouts[i].size)
			return err_set(err, -EINVAL,
				       "redirect: map '%s' has values of %u bytes, expected %zu",
				       layouts[i].map, bpf_map__value_size(map), layouts[i].size);
	}
	return 0;
}

int redirect_attach(struct redirect *r, struct err *err)
{
	int rc = check_layouts(r, err);

	if (rc)
		return rc;
	r->sockets_fd = redirect_map(r, "sockets");
	r->flows_fd = redirect_map(r, "redirect_flows");
	r->refused_fd = redirect_map(r, "refused");
	r->ready_fd = redirect_map(r, "ready");
	r->waking_fd = redirect_map(r, "waking");
	r->notices_fd = redirect_map(r, "notices");
	rc = bpf_prog_attach(bpf_program__fd(redirect_program(r, "message")), r->sockets_fd,
			     BPF_SK_MSG_VERDICT, 0);
	if (rc)
		return err_sys(err, -errno, "redirect: can't attach to its own map");
	r->config->goes_on = redirect_fionread_is_wrong(r->sockets_fd);
	r->taker = iterator(r, "take_wanted", "candidates");
	r->sweeper = iterator(r, "sweep", "redirect_flows");
	r->adopter = iterator(r, "adopt", NULL);
	r->sampler = iterator(r, "sample", "watched");
	r->waker = iterator(r, "wake", NULL);
	if (!r->taker || !r->sweeper || !r->adopter || !r->sampler || !r->waker)
		return err_sys(err, -errno, "redirect: can't make its iterators");
	r->sweep_fd = bpf_link__fd(r->sweeper);
	return 0;
}

static int attach_cgroup(struct redirect *r, const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return err_sys(err, -errno, "redirect: can't open cgroup \"%s\"", path);
	r->links[r->nr_links] = bpf_program__attach_cgroup(redirect_program(r, "watch"), fd);
	rc = r->links[r->nr_links] ? 0 : -errno;
	close_fd(&fd);
	if (!rc) {
		r->nr_links++;
		return 0;
	}
	err_sys(err, rc, "redirect: can't attach to cgroup \"%s\"", path);
	if (rc == -EPERM)
		err_hint(err,
			 "another program is attached there that allows no others; bpftool "
			 "cgroup show %s",
			 path);
	return rc;
}

/* The kernel's id of a cgroup is its directory's inode number. */
static int add_scope(const struct redirect *r, const char *path)
{
	uint32_t one = 1;
	uint64_t id;
	struct stat st;

	if (stat(path, &st))
		return -errno;
	id = st.st_ino;
	return bpf_map_update_elem(redirect_map(r, "scopes"), &id, &one, BPF_ANY);
}

int redirect_attach_cgroups(struct redirect *r, const struct redirect_opts *opts, struct err *err)
{
	int rc = 0;

	for (int i = 0; i < opts->nr_cgroups && !rc; i++) {
		rc = add_scope(r, opts->cgroups[i]);
		if (rc)
			return err_sys(err, rc, "redirect: cgroup \"%s\"", opts->cgroups[i]);
		rc = attach_cgroup(r, opts->cgroups[i], err);
	}
	return rc;
}
