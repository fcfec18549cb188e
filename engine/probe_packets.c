/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <bpf/libbpf.h>
#include "globals.h"
#include "kbtf_module.h"
#include "object.h"
#include "probe_packets.h"
#include "probe_priv.h"
#include "util.h"

static const char *next_point(const void *arg, int i)
{
	const struct field *f = arg;

	return i < f->nr_names ? f->names[i].name : NULL;
}

/* Number of a point; the field `from` of the event has all names. */
static int point_number(const struct probe *p, const char *name, struct err *err)
{
	const struct field *f = layout_field(p->layout, "from");
	const char *near;

	for (int i = 0; i < f->nr_names; i++)
		if (f->names[i].value && str_eq(f->names[i].name, name))
			return (int)f->names[i].value;
	near = nearest_name(name, next_point, f);
	err_set(err, -ENOENT, "unknown point \"%s\"%s%s%s", name, near ? ", did you mean \"" : "",
		near ? near : "", near ? "\"?" : "");
	err_hint(err, "bpfnet probes podnet lists them");
	return -ENOENT;
}

static int set_spans(struct probe *p, const struct packet_opts *opts, struct err *err)
{
	for (int i = 0; i < opts->nr_spans; i++) {
		for (int end = 0; end < 2; end++) {
			int n = point_number(p, opts->spans[i][end], err);

			if (n < 0)
				return n;
			p->packets.spans[i][end] = (uint8_t)n;
		}
	}
	return 0;
}

static int no_use(const struct probe *p, const char *option, struct err *err)
{
	err_set(err, -EINVAL, "probe '%s' has no use for the option \"%s\"", p->name, option);
	err_hint(err, "it is for podnet");
	return -EINVAL;
}

int probe_packets_open(struct probe *p, const struct packet_opts *opts, struct err *err)
{
	struct bpf_object *obj = object_bpf(p->obj);
	const bool *stack = globals_find(obj, ".rodata", "cfg_stack", sizeof(*stack));
	const void *spans = globals_find(obj, ".rodata", "cfg_spans", sizeof(p->packets.spans));

	if (opts->stack && !stack)
		return no_use(p, "stack", err);
	if (opts->nr_spans && !spans)
		return no_use(p, "between", err);
	p->packets.stack = opts->stack;
	return set_spans(p, opts, err);
}

/* Before 5.11 modules have no types; 5.10's place is the default. */
static void set_nft_table_name(struct bpf_object *obj)
{
	uint32_t *at = globals_find(obj, ".rodata", "cfg_nft_table_name", sizeof(*at));
	int offset = at ? kbtf_module_member("nf_tables", "nft_table", "name") : -ENOENT;

	if (offset > 0)
		*at = (uint32_t)offset;
}

void probe_packets_setup(struct probe *p, struct bpf_object *obj)
{
	bool *stack = globals_find(obj, ".rodata", "cfg_stack", sizeof(*stack));
	void *spans = globals_find(obj, ".rodata", "cfg_spans", sizeof(p->packets.spans));

	set_nft_table_name(obj);
	if (stack)
		*stack = p->packets.stack;
	if (spans)
		memcpy(spans, p->packets.spans, sizeof(p->packets.spans));
}

int probe_packets_check(const struct probe *p, struct err *err)
{
	const struct bpf_object *obj = object_bpf(p->obj);

	if (p->packets.spans[0][0] ||
	    !globals_find(obj, ".rodata", "cfg_spans", sizeof(p->packets.spans)))
		return 0;
	return err_set(err, -EINVAL,
		       "probe '%s' needs the option \"between\": pairs of points like "
		       "{{\"ip_rcv\", \"sock_read\"}}",
		       p->name);
}
