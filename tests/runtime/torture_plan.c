// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What a connection does, all of it from the seed and its number: how it is used, what is
 * sent when, how it ends.
 */
#include <string.h>

#include "torture.h"

#define PRELUDE_MOST 512 /* bytes of a segment */

/* In 100 connections; the first live for hundreds of turns: those that a redirect takes. */
static const int weights[KINDS] = {
	[K_TURNS] = 55, [K_PIPELINED] = 5, [K_STREAM] = 5, [K_DUPLEX] = 5, [K_EARLY] = 6,
	[K_TFO] = 4,    [K_HALF] = 6,      [K_RESET] = 5,  [K_SLOW] = 4,   [K_CLOSE] = 5,
};

uint64_t roll(struct random *r)
{
	r->state += 0x9e3779b97f4a7c15u;
	return mix(r->state);
}

/* From 0 to n - 1. */
unsigned below(struct random *r, unsigned n)
{
	return (roll(r) >> 32) * n >> 32;
}

bool chance(struct random *r, unsigned one_in)
{
	return !below(r, one_in);
}

/* Each order of magnitude is as likely as the others. */
static unsigned spread(struct random *r, unsigned least, unsigned most)
{
	unsigned powers = 0, from;

	while (most >> powers > least)
		powers++;
	from = least << below(r, powers + 1);
	from += below(r, from);
	return from < most ? from : most;
}

static int choose(struct random *r, unsigned mask, int n)
{
	int nth = below(r, __builtin_popcount(mask)), i = 0;

	for (; i < n; i++) {
		if (mask & 1u << i && nth-- == 0)
			break;
	}
	return i;
}

static enum kind choose_kind(struct random *r)
{
	int sum = 0, k = 0, rest;

	for (int i = 0; i < KINDS; i++)
		sum += opt.kinds & 1u << i ? weights[i] : 0;
	rest = below(r, sum);
	for (; k < KINDS; k++) {
		if (opt.kinds & 1u << k && (rest -= weights[k]) < 0)
			break;
	}
	return k;
}

/* Both ends in loops, mostly: that is what is taken over by default.  Polling and threads
 * are for few: they cost more the more there are. */
static void choose_modes(struct conn *c, struct random *r)
{
	unsigned few = 1u << M_BLOCK | 1u << M_POLL, loops = opt.modes & ~(1u << M_BLOCK);
	unsigned some = opt.modes;

	if (opt.concurrent > 400 && opt.modes & ~few && !chance(r, opt.concurrent / 200))
		some = loops = opt.modes & ~few;
	if (loops && below(r, 10) < 6)
		some = loops;
	else if (opt.modes & 1u << M_BLOCK && some & 1u << M_BLOCK && chance(r, 2))
		some = 1u << M_BLOCK;
	for (int side = 0; side < 2; side++)
		c->end[side].mode = choose(r, some, MODES);
}

static void plan_turns(struct conn *c, int n, int client_lead, int server_lead)
{
	c->turns = true;
	c->n[0] = c->n[1] = n;
	c->lead[0] = client_lead;
	c->lead[1] = server_lead;
}

/* One direction or both, in big segments. */
static void plan_stream(struct conn *c, struct random *r, bool both)
{
	int dir = below(r, 2), n = spread(r, 1, 64);

	c->turns = false;
	c->fixed_size = chance(r, 2);
	c->max_size = spread(r, opt.size < 64 ? opt.size : 64, opt.size);
	if (c->max_size < 4096)
		n *= 16;
	c->n[dir] = n;
	c->n[!dir] = both ? spread(r, 1, 64) : 0;
	c->lead[0] = c->lead[1] = ANY_LEAD;
}

static void plan_any(struct conn *c, struct random *r)
{
	switch (below(r, 4)) {
	case 0:
		plan_turns(c, spread(r, 1, 60), 0, -1);
		break;
	case 1:
		plan_turns(c, spread(r, 8, 200), spread(r, 1, 32), -1);
		break;
	default:
		plan_stream(c, r, chance(r, 2));
	}
}

/* Some take turns at first, and are taken over; what comes then is less polite. */
static void plan_prelude(struct conn *c, struct random *r)
{
	if (chance(r, 3))
		return;
	c->prelude = spread(r, 20, 400);
	c->n[0] += c->prelude;
	c->n[1] += c->prelude;
}

static void plan_kind(struct conn *c, struct random *r)
{
	switch (c->kind) {
	case K_TURNS:
		plan_turns(c, spread(r, 200, 4000), 0, -1);
		break;
	case K_PIPELINED:
		plan_turns(c, spread(r, 20, 1000), spread(r, 1, 32), -1);
		break;
	case K_STREAM:
	case K_DUPLEX:
		plan_stream(c, r, c->kind == K_DUPLEX);
		break;
	case K_EARLY:
		plan_turns(c, spread(r, 1, 100), below(r, 3), 0);
		break;
	case K_TFO:
		c->tfo = true;
		plan_turns(c, spread(r, 1, 50), chance(r, 4), -(int)below(r, 2));
		break;
	case K_SLOW:
		c->slow = true;
		plan_any(c, r);
		break;
	case K_CLOSE:
		plan_turns(c, spread(r, 1, 4), 0, -1);
		break;
	default:
		plan_any(c, r);
	}
	if (c->kind != K_TURNS && c->kind != K_EARLY && c->kind != K_TFO && c->kind != K_CLOSE)
		plan_prelude(c, r);
}

static void plan_end(struct conn *c, struct random *r)
{
	c->ender = below(r, 2);
	c->ending = below(r, 3);
	if (c->kind == K_CLOSE)
		c->ending = E_CLOSE;
	if (c->kind == K_HALF)
		c->ending = E_HALF;
	if (c->kind == K_RESET)
		c->ending = E_RESET;
	if (c->ending == E_HALF)
		c->tail[!c->ender] = spread(r, 1, 16);
	/* a client knows only by what it has read that somebody accepted */
	if (c->ending == E_RESET && !c->n[1])
		c->ender = 1;
	c->reset_at = spread(r, 1, 1 << 18) - c->ender + c->prelude * below(r, PRELUDE_MOST);
}

/* Small ones most: a connection in turns that moves much at a time is a rare one. */
static int choose_max_size(struct random *r)
{
	int percent = below(r, 100);
	int size = percent < 55 ? 512 :
		   percent < 80 ? 16 << 10 :
		   percent < 94 ? 64 << 10 :
				  MAX_MESSAGE;

	return size < opt.size ? size : opt.size;
}

static void end_style(struct conn *c, int side, struct random *r)
{
	struct end *e = &c->end[side];

	e->wrand.state = roll(r);
	e->rrand.state = roll(r);
	e->max_write = spread(r, 16 << 10, e->mode == M_BLOCK ? BLOCK_BUFFER : LOOP_BUFFER);
	/* small ones for small segments, or a stream takes for ever */
	e->max_read = chance(r, 8) ? spread(r, 16, 4096) + c->max_size / 16 :
				     spread(r, 16 << 10, BLOCK_BUFFER);
	e->once = (e->mode == M_POLL || e->mode == M_LEVEL) && chance(r, 3);
	e->two_threads = e->mode == M_BLOCK && c->n[0] && c->n[1] &&
			 !(c->turns && c->lead[0] == 0 && c->lead[1] == -1);
	/* a thread that waits in recv() isn't woken when another one closes */
	if (e->two_threads && c->ending == E_RESET && c->ender == side) {
		e->two_threads = false;
		e->mode = M_LEVEL;
	}
}

/* Fills in all that does not change, but for turns' numbers of segments. */
void plan_make(struct conn *c, uint64_t id)
{
	struct random r = { .state = mix(opt.seed) ^ mix(id) };

	memset(c, 0, sizeof(*c));
	c->id = id;
	c->kind = choose_kind(&r);
	c->family = choose(&r, opt.families, FAMILIES);
	c->nodelay = chance(&r, 2);
	c->small_buffers = chance(&r, 10);
	c->max_size = choose_max_size(&r);
	c->listener = c->family * PORTS + below(&r, PORTS);
	choose_modes(c, &r);
	plan_kind(c, &r);
	plan_end(c, &r);
	for (int side = 0; side < 2; side++)
		end_style(c, side, &r);
}

/* Bytes of a segment: any number up to the connection's most, small ones more often. */
size_t plan_size(const struct conn *c, int dir, int seg)
{
	struct random r = { .state = mix(opt.seed ^ c->id << 1 ^ dir) + seg };

	if (seg < c->prelude)
		return 1 + below(&r, opt.size < PRELUDE_MOST ? opt.size : PRELUDE_MOST);
	if (c->fixed_size)
		return c->max_size;
	return chance(&r, 4) ? 1 + below(&r, c->max_size) : spread(&r, 1, c->max_size);
}

int plan_segments(const struct conn *c, int dir)
{
	return c->n[dir] + c->tail[dir];
}

/*
 * The run is over: the segment that is to be written next becomes the last, besides those
 * that the other end may have written ahead.  It is said before the segment's first byte, so
 * who has read it knows it.
 */
void plan_shrink(struct conn *c, int dir, int seg)
{
	int n = seg + 1;

	if (c->turns && dir)
		return;
	if (c->turns)
		n += 1 + c->lead[1];
	if (n >= c->n[dir])
		return;
	if (c->turns)
		c->n[1] = n;
	c->n[dir] = n;
}
