/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A map of a redirect is known by its name, type and sizes, and found by going through the ids that
 * came since the last look: one system call if there are none.
 *
 * While it is in a slot we keep it alive ourselves. So it goes in when a program uses it, and comes out
 * when none does any more (a redirect that was killed lives on in the sockets that it has taken) and
 * the last socket that was ever in it is gone: that one still is to be told with what it carried.
 */
#include <errno.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "caps.h"
#include "globals.h"
#include "log.h"
#include "loop.h"
#include "redirect_abi.h"
#include "redirect_found.h"
#include "util.h"

#define SLOTS       32 /* MAX_REDIRECTS of bpf/redirected.h */
#define WAITING     16
#define LOOK_NS     (100 * NSEC_PER_MSEC)
#define HURRY_NS    (10 * NSEC_PER_MSEC) /* while a redirect is being loaded */
#define LINGER_NS   NSEC_PER_SEC /* between looks at the sockets of one that has ended */
#define MAPS_OF_ONE 64

_Static_assert(offsetof(struct redirect_flow, redirected_bytes) == 24 &&
		       offsetof(struct redirect_flow, redirected_msgs) == 32,
	       "struct redirected_flow of bpf/redirected.h");

struct slot {
	uint32_t map; /* id; 0: the slot is free */
	uint32_t prog; /* id of a program that uses it; 0: none does */
	uint64_t socket; /* cookie of one that was there at the last look, 0: none was */
	uint64_t look_ns; /* when it is time to look again */
};

struct redirect_found {
	struct loop_timer *timer;
	struct redirect_found *next;
	int slots_fd;
	int socks_fd;
	volatile uint32_t *used; /* the programs' own variable */
	uint32_t last; /* map id */
	struct slot slots[SLOTS];
	uint32_t waiting[WAITING]; /* ids of maps that no program uses yet */
	int nr_waiting;
	bool told; /* that something can't be found */
};

void redirect_found_setup(struct bpf_object *obj)
{
	struct bpf_map *slots = bpf_object__find_map_by_name(obj, "redirects");
	struct bpf_map *flows = slots ? bpf_map__inner_map(slots) : NULL;

	bool *asks = globals_find(obj, ".rodata", "cfg_redirects", sizeof(*asks));

	if (!flows || !asks)
		return;
	*asks = caps_attach_cookie(); /* came with 5.15, too */
	bpf_map__set_value_size(flows, sizeof(struct redirect_flow));
	/* as probe_setup() does with the redirect's: the kernel compares the flags */
	bpf_map__set_map_flags(flows, caps_map_alloc() ? BPF_F_NO_PREALLOC : 0);
}

static void tell_once(struct redirect_found *f, enum log_level level, const char *what)
{
	if (!f->told)
		log_msg(level, "%s: what it carries past TCP is not counted", what);
	f->told = true;
}

static bool is_flows(struct redirect_found *f, uint32_t id)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = bpf_map_get_fd_by_id(id), rc;

	if (fd < 0)
		return false;
	rc = bpf_obj_get_info_by_fd(fd, &info, &len);
	close(fd);
	if (rc || info.type != BPF_MAP_TYPE_HASH || !str_eq(info.name, "redirect_flows"))
		return false;
	if (info.key_size == sizeof(uint64_t) && info.value_size == sizeof(struct redirect_flow))
		return true;
	tell_once(f, LOG_WARN, "a redirect of another version of bpfnet runs");
	return false;
}

static bool uses(const struct bpf_prog_info *info, const uint32_t *maps, uint32_t map)
{
	for (uint32_t i = 0; i < info->nr_map_ids && i < MAPS_OF_ONE; i++)
		if (maps[i] == map)
			return true;
	return false;
}

/* The sk_msg program is the one that sockets hold when all else is gone. 0: no program uses the map. */
static uint32_t program_of(uint32_t map)
{
	uint32_t id = 0, maps[MAPS_OF_ONE];

	while (bpf_prog_get_next_id(id, &id) == 0) {
		struct bpf_prog_info info = { .nr_map_ids = MAPS_OF_ONE };
		uint32_t len = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(id), rc;

		if (fd < 0)
			continue;
		info.map_ids = (uint64_t)(uintptr_t)maps;
		rc = bpf_obj_get_info_by_fd(fd, &info, &len);
		close(fd);
		if (!rc && info.type == BPF_PROG_TYPE_SK_MSG && uses(&info, maps, map))
			return id;
	}
	return 0;
}

static bool program_is_there(uint32_t id)
{
	int fd = id ? bpf_prog_get_fd_by_id(id) : -1;

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Is the socket of this flow still there? The table of sockets has each until it is destroyed. */
static bool is_alive(const struct redirect_found *f, int flows_fd, uint64_t cookie)
{
	union {
		uint64_t words[3]; /* the third is the cookie */
		uint8_t room[256];
	} life = { 0 };
	struct redirect_flow flow;

	return bpf_map_lookup_elem(flows_fd, &cookie, &flow) == 0 &&
	       bpf_map_lookup_elem(f->socks_fd, &flow.sk, &life) == 0 && life.words[2] == cookie;
}

/* The cookie of a socket that is there, if possible the one of last time; 0: none is. */
static uint64_t live_socket(const struct redirect_found *f, uint32_t map, uint64_t last)
{
	int fd = bpf_map_get_fd_by_id(map);
	uint64_t cookie, *at = NULL, found = 0;

	if (fd < 0)
		return 0;
	if (last && is_alive(f, fd, last))
		found = last;
	while (!found && bpf_map_get_next_key(fd, at, &cookie) == 0) {
		at = &cookie;
		if (is_alive(f, fd, cookie))
			found = cookie;
	}
	close(fd);
	return found;
}

static void set_used(struct redirect_found *f)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < SLOTS; i++)
		if (f->slots[i].map)
			used = i + 1;
	*f->used = used;
}

/* SLOTS if all are taken by redirects that run. One that has ended makes room, if need be. */
static uint32_t find_slot(struct redirect_found *f)
{
	uint32_t ended = SLOTS;

	for (uint32_t i = 0; i < SLOTS; i++) {
		if (!f->slots[i].map)
			return i;
		if (!f->slots[i].prog && ended == SLOTS)
			ended = i;
	}
	tell_once(f, LOG_WARN, "more redirects than there are slots for");
	return ended;
}

/* False if it has to wait: there is no such program, and no socket. */
static bool take(struct redirect_found *f, uint32_t map)
{
	struct slot new = { .map = map, .prog = program_of(map) };
	uint32_t i;
	int fd, rc;

	if (!new.prog)
		new.socket = live_socket(f, map, 0);
	if (!new.prog && !new.socket)
		return false;
	i = find_slot(f);
	if (i == SLOTS)
		return true;
	fd = bpf_map_get_fd_by_id(map);
	rc = fd < 0 ? 0 : bpf_map_update_elem(f->slots_fd, &i, &fd, BPF_ANY);
	if (rc)
		tell_once(f, LOG_WARN, "the kernel refuses the flows of a redirect");
	else if (fd >= 0)
		f->slots[i] = new;
	close_fd(&fd);
	set_used(f);
	return true;
}

static bool is_there(uint32_t map)
{
	int fd = bpf_map_get_fd_by_id(map);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void find_new(struct redirect_found *f)
{
	uint32_t id = f->last;

	while (bpf_map_get_next_id(id, &id) == 0) {
		f->last = id;
		if (!is_flows(f, id))
			continue;
		if (f->nr_waiting < WAITING)
			f->waiting[f->nr_waiting++] = id;
		else
			tell_once(f, LOG_WARN, "too many redirects are being loaded");
	}
	if (errno == EPERM)
		tell_once(f, LOG_INFO, "a redirect can't be seen without CAP_SYS_ADMIN");
}

static void take_waiting(struct redirect_found *f)
{
	int left = 0;

	for (int i = 0; i < f->nr_waiting; i++)
		if (is_there(f->waiting[i]) && !take(f, f->waiting[i]))
			f->waiting[left++] = f->waiting[i];
	f->nr_waiting = left;
}

static void drop_ended(struct redirect_found *f, uint64_t now)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct slot *s = &f->slots[i];

		if (!s->map || now < s->look_ns || program_is_there(s->prog))
			continue;
		s->prog = 0;
		s->socket = live_socket(f, s->map, s->socket);
		s->look_ns = now + LINGER_NS;
		if (s->socket)
			continue;
		*s = (struct slot){ 0 };
		bpf_map_delete_elem(f->slots_fd, &i);
		set_used(f);
	}
}

static struct redirect_found *all; /* of this process */

static void look(void *arg)
{
	struct redirect_found *f = arg;

	find_new(f);
	take_waiting(f);
	drop_ended(f, now_ns());
	loop_timer_set(f->timer, f->nr_waiting ? HURRY_NS : LOOK_NS, 0);
}

void redirect_found_look(void)
{
	for (struct redirect_found *f = all; f; f = f->next)
		look(f);
}

int redirect_found_new(struct redirect_found **out, struct loop *loop, const struct bpf_object *obj,
		       int socks_fd, struct err *err)
{
	const struct bpf_map *slots = bpf_object__find_map_by_name(obj, "redirects");
	uint32_t *used = globals_find(obj, ".bss", "redirects_used", sizeof(*used));
	struct redirect_found *f;

	*out = NULL;
	if (!slots || !used)
		return 0;
	f = calloc(1, sizeof(*f));
	if (f)
		f->timer = loop_timer_new(loop, look, f);
	if (!f || !f->timer) {
		free(f);
		return err_set(err, -ENOMEM, "out of memory");
	}
	f->slots_fd = bpf_map__fd(slots);
	f->socks_fd = socks_fd;
	f->used = used;
	f->next = all;
	all = f;
	look(f);
	*out = f;
	return 0;
}

void redirect_found_free(struct redirect_found *f)
{
	struct redirect_found **at = &all;

	if (!f)
		return;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	loop_timer_free(f->timer);
	free(f);
}
