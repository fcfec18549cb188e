// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* From what was done at each end to the events that a tracer must have sent of it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "talk.h"

struct request {
	bool open, answered, continued, pipelined;
	int nth, tid;
	size_t request_bytes, response_bytes;
	uint64_t start[2], request_end[2], first[2], last[2];
};

struct model {
	const struct end *e;
	const char *name;
	struct request r;
	uint64_t end[2]; /* of the response before */
	bool told_idle;
	bool over; /* the open response was sent while there was something to read */
};

/* later - earlier, of two times that are known between two limits each. */
static void print_ns(const char *key, const uint64_t later[2], const uint64_t earlier[2])
{
	printf(" %s=%lu..%lu", key, later[0] > earlier[1] ? later[0] - earlier[1] : 0,
	       later[1] > earlier[0] ? later[1] - earlier[0] : 0);
}

static void tell(struct model *m, const char *ended)
{
	struct request *r = &m->r;
	printf("expect case=%s pid=%d sport=%d dport=%d cookie=%lu side=%s nth=%d tid=%d request_bytes=%zu response_bytes=%zu"
	       " outcome=%s ended=%s continued=%s pipelined=%s duplex=%s start_ns=%lu..%lu",
	       m->name, getpid(), m->e->sport, m->e->dport, m->e->cookie,
	       m->e->accepts ? "accept" : "connect", r->nth, r->tid, r->request_bytes,
	       r->response_bytes, r->answered ? "answered" : "unanswered", ended,
	       r->continued ? "true" : "false", r->pipelined ? "true" : "false", "false",
	       r->start[0], r->start[1]);
	if (r->answered && !r->continued)
		print_ns("ttfb_ns", r->first, r->start);
	else
		printf(" ttfb_ns=nil");
	print_ns("total_ns", r->last, r->start);
	print_ns("request_ns", r->request_end, r->start);
	if (m->end[1])
		print_ns("idle_ns", r->start, m->end);
	else
		printf(" idle_ns=nil");
	printf("\n");
	memcpy(m->end, r->last, sizeof(m->end));
	m->told_idle = !strcmp(ended, "idle");
	m->over = false;
	r->open = false;
}

static void begin(struct model *m, const struct step *s, bool continued)
{
	int nth = m->r.nth;

	m->r = (struct request){ .open = true, .tid = s->tid, .continued = continued };
	m->r.nth = continued ? nth : nth + 1;
	m->r.answered = continued;
	memcpy(m->r.start, s->from_ns, sizeof(m->r.start));
	memcpy(m->r.request_end, s->from_ns, sizeof(m->r.start));
	memcpy(m->r.last, s->to_ns, sizeof(m->r.last));
}

static void request_bytes(struct model *m, const struct step *s)
{
	bool over = m->e->accepts ? m->over : s->over;

	if (m->r.open && m->r.answered) {
		m->r.pipelined |= over;
		tell(m, "next");
	} else {
		over = false;
	}
	if (!m->r.open) {
		begin(m, s, false);
		m->r.pipelined = over;
	}
	m->r.request_bytes += s->bytes;
	memcpy(m->r.request_end, s->to_ns, sizeof(m->r.request_end));
}

static void response_bytes(struct model *m, const struct step *s)
{
	struct request *r = &m->r;

	if (!r->open && !m->told_idle)
		return;
	if (!r->open)
		begin(m, s, true);
	if (m->e->accepts && s->over)
		r->pipelined = m->over = true;
	if (!r->answered)
		memcpy(r->first, s->from_ns, sizeof(r->first));
	r->answered = true;
	r->response_bytes += s->bytes;
	memcpy(r->last, s->to_ns, sizeof(r->last));
}

/* What has no answer lasts until then: some time after it began. */
static void end(struct model *m, const struct step *s, const char *ended)
{
	if (!m->r.open)
		return;
	if (!m->r.answered) {
		m->r.last[0] = m->r.start[0];
		m->r.last[1] = s->to_ns[1];
	}
	tell(m, ended);
}

static void step(struct model *m, const struct step *s)
{
	switch (s->deed) {
	case DID_SEND:
	case DID_READ:
		if ((s->deed == DID_SEND) == m->e->accepts)
			response_bytes(m, s);
		else
			request_bytes(m, s);
		return;
	case DID_PAUSE:
		if (m->r.open && m->r.answered)
			tell(m, "idle");
		return;
	case DID_CLOSE:
		end(m, s, "closed");
		return;
	case DID_RESET:
		end(m, s, "reset");
		return;
	case DID_DETACH:
		end(m, s, "detached");
	}
}

static void expect(const struct end *e, const char *name)
{
	struct model m = { .e = e, .name = name };

	for (int i = 0; i < e->nr_steps; i++)
		step(&m, &e->steps[i]);
}

void expect_all(const struct pair *p, const char *name)
{
	expect(&p->client, name);
	expect(&p->server, name);
	fflush(stdout);
}

void expect_bytes(const struct pair *p, const char *name)
{
	for (int accepts = 0; accepts < 2; accepts++) {
		const struct end *e = accepts ? &p->server : &p->client;

		printf("bytes case=%s sport=%d dport=%d side=%s request_bytes=%zu response_bytes=%zu\n",
		       name, e->sport, e->dport, accepts ? "accept" : "connect",
		       accepts ? e->read : e->sent, accepts ? e->sent : e->read);
	}
	fflush(stdout);
}
