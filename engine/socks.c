/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <bpf/libbpf.h>
#include "globals.h"
#include "log.h"
#include "object.h"
#include "probe_setup.h"
#include "skels.h"
#include "socks.h"
#include "util.h"

struct socks {
	struct object *obj;
	struct bpf_map *map;
};

static int setup(void *arg, struct bpf_object *obj, struct err *err)
{
	struct socks *s = arg;

	s->map = bpf_object__find_map_by_name(obj, "socks");
	if (!s->map)
		return err_set(err, -ENOENT, "the object 'socks' has no map 'socks'");
	probe_setup(obj, 0);
	return 0;
}

static int start(struct socks *s, struct err *err)
{
	const uint32_t *again;
	int rc;

	do {
		rc = object_load(s->obj, setup, s, NULL, err);
		if (!rc)
			rc = object_attach(s->obj, err);
	} while (rc == -EAGAIN);
	/* Only now, so that no socket falls between the two. */
	if (!rc)
		rc = object_iterate(s->obj, "scan", NULL, err);
	again = globals_find(object_bpf(s->obj), ".bss", "nr_short_listeners", sizeof(*again));
	if (!rc && again && *again)
		rc = object_iterate(s->obj, "scan", NULL, err);
	return rc;
}

int socks_new(struct socks **out, const char *prefer, struct err *err)
{
	const struct skel *skel = skel_find("socks");
	struct socks *s = calloc(1, sizeof(*s));
	const void *elf;
	size_t size;
	int rc;

	*out = NULL;
	if (!s || !skel) {
		free(s);
		return err_set(err, -ENOMEM, "out of memory");
	}
	elf = skel->elf_bytes(&size);
	rc = object_open(&s->obj, "socks", elf, size, prefer, NULL, err);
	if (!rc)
		rc = start(s, err);
	if (rc) {
		socks_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void socks_free(struct socks *s)
{
	if (!s)
		return;
	object_close(s->obj);
	free(s);
}

int socks_map_fd(const struct socks *s)
{
	return bpf_map__fd(s->map);
}

uint64_t socks_untracked(const struct socks *s)
{
	struct tally tally = { 0 };

	probe_read_tally(object_bpf(s->obj), &tally);
	return tally.untracked;
}

uint64_t socks_missed(const struct socks *s)
{
	return object_missed(s->obj);
}
