/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The maps of an aggregation: making them, and the fields that they are about. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "agg_maps_priv.h"
#include "util.h"

#define MOST_ENTRIES          131072
#define MOST_ENTRIES_PREALLOC 16384
#define BUCKETS_PER_KEY       8 /* that a histogram is thought to need */

/* A copy of an enum's names in one block, since the layout may go before us. */
static int keep_names(void **block, struct field *field)
{
	size_t size = (size_t)field->nr_names * sizeof(*field->names);
	struct enum_name *names;
	char *text;

	if (field->kind != FIELD_ENUM)
		return 0;
	for (int i = 0; i < field->nr_names; i++)
		size += strlen(field->names[i].name) + 1;
	names = malloc(size + 1);
	if (!names)
		return -ENOMEM;
	text = (char *)(names + field->nr_names);
	for (int i = 0; i < field->nr_names; i++) {
		names[i].value = field->names[i].value;
		names[i].name = text;
		text = stpcpy(text, field->names[i].name) + 1;
	}
	field->names = *block = names;
	return 0;
}

static int find_field(const struct layout *layout, const char *name, struct field *copy,
		      struct err *err)
{
	const struct field *field = layout_field(layout, name);

	if (!field)
		return layout_no_field(layout, name, err);
	*copy = *field;
	copy->name = copy->doc = ""; /* the layout's; the spec has the name */
	stack_texts_hold(copy->stacks);
	return 0;
}

/* How a field's bytes are aligned in the record, and so in the key. */
static uint32_t align_of(const struct field *field)
{
	uint32_t bits = field->offset | field->size | 8;

	return bits & -bits;
}

static int key_too_long(const struct agg_spec *spec, uint32_t size, struct err *err)
{
	char names[512] = "";
	size_t len = 0;

	for (int i = 0; i < spec->nr_by && len < sizeof(names) - AGG_NAME - 2; i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", i ? ", " : "",
					spec->by[i]);
	err_set(err, -EINVAL, "a key of %s has %u bytes, at most %d can be looked up in the kernel",
		names, size, BANK_KEY);
	err_hint(err, "leave out a field, or aggregate in Lua");
	return -EINVAL;
}

static int add_parts(struct agg_maps *maps, const struct layout *layout, struct err *err)
{
	const struct agg_spec *spec = agg_get_spec(maps->agg);
	uint32_t size = 4; /* the bucket */

	for (int i = 0; i < spec->nr_by; i++) {
		struct bank_part *part = &maps->parts[i];
		uint32_t align;

		if (find_field(layout, spec->by[i], &part->field, err))
			return err->code;
		if (part->field.kind == FIELD_LIST)
			return err_set(err, -EINVAL, "field \"%s\" is a list, which is no key",
				       spec->by[i]);
		if (keep_names(&maps->names[i], &part->field))
			return err_set(err, -ENOMEM, "out of memory");
		align = align_of(&part->field);
		size = (size + align - 1) & -align;
		part->in_key = part->field;
		part->in_key.offset = size;
		part->in_key.bit_offset = 0;
		size += part->field.size;
	}
	maps->key_size = (size + 7) & ~7U;
	return maps->key_size > BANK_KEY ? key_too_long(spec, maps->key_size, err) : 0;
}

static int check_value(struct agg_maps *maps, int value, struct err *err)
{
	const struct agg_field *kept = &agg_get_spec(maps->agg)->values[value];
	const struct field *field = &maps->values[value];

	if (field->kind != FIELD_UINT && field->kind != FIELD_INT && field->kind != FIELD_OPT &&
	    field->kind != FIELD_BE)
		return err_set(err, -EINVAL, "field \"%s\" is %s, not an integer", kept->name,
			       field_type_name(field));
	if (!(kept->whats & 1U << AGG_HIST))
		return 0;
	if (bank_is_signed(field))
		return err_set(err, -EINVAL,
			       "field \"%s\" may be negative, so has no histogram in the kernel",
			       kept->name);
	if (maps->hist >= 0)
		return err_set(err, -EINVAL,
			       "fields \"%s\" and \"%s\": only one has a histogram in the kernel",
			       agg_get_spec(maps->agg)->values[maps->hist].name, kept->name);
	maps->hist = value;
	return 0;
}

static int add_column(struct agg_maps *maps, enum bank_what what, int value, struct err *err)
{
	if (maps->nr_columns == BANK_COLUMNS) {
		err_set(err, -EINVAL, "more than %d numbers to a row", BANK_COLUMNS);
		err_hint(err,
			 "each field needs one for sum, min and max, and one if it may be nil");
		return -EINVAL;
	}
	maps->columns[maps->nr_columns++] = (struct bank_column){ what, value };
	return 0;
}

/* avg is made of sum and count, and a histogram knows its sum. */
static int add_columns(struct agg_maps *maps, int value, struct err *err)
{
	unsigned whats = agg_get_spec(maps->agg)->values[value].whats;
	int rc = 0;

	if (maps->values[value].kind == FIELD_OPT)
		rc = add_column(maps, BANK_N, value, err);
	if (!rc && whats & (1U << AGG_SUM | 1U << AGG_AVG | 1U << AGG_HIST))
		rc = add_column(maps, BANK_SUM, value, err);
	if (!rc && whats & 1U << AGG_MIN)
		rc = add_column(maps, BANK_MIN, value, err);
	if (!rc && whats & 1U << AGG_MAX)
		rc = add_column(maps, BANK_MAX, value, err);
	return rc;
}

static int add_values(struct agg_maps *maps, const struct layout *layout, struct err *err)
{
	const struct agg_spec *spec = agg_get_spec(maps->agg);
	int rc = add_column(maps, BANK_COUNT, -1, err);

	for (int i = 0; i < spec->nr_values && !rc; i++) {
		rc = find_field(layout, spec->values[i].name, &maps->values[i], err);
		if (!rc)
			rc = check_value(maps, i, err);
		if (!rc)
			rc = add_columns(maps, i, err);
	}
	return rc;
}

static uint32_t entries_for(const struct agg_maps *maps, bool prealloc)
{
	uint64_t n = agg_get_spec(maps->agg)->max_keys;
	uint64_t most = prealloc ? MOST_ENTRIES_PREALLOC : MOST_ENTRIES;

	n *= maps->hist >= 0 ? BUCKETS_PER_KEY : 1;
	return (uint32_t)(n < most ? n : most) + 1; /* and the rest */
}

static int make_banks(struct agg_maps *maps, bool prealloc, struct err *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = prealloc ? 0 : BPF_F_NO_PREALLOC);

	for (int i = 0; i < 2; i++) {
		maps->bank_fd[i] = bpf_map_create(BPF_MAP_TYPE_PERCPU_HASH, "agg_bank",
						  maps->key_size, 8 * (uint32_t)maps->nr_columns,
						  entries_for(maps, prealloc), &opts);
		if (maps->bank_fd[i] < 0)
			return err_sys(err, -errno, "can't create the map of an aggregation");
		if (agg_bank_prepare(maps, i, err))
			return err->code;
	}
	return 0;
}

static int make_control(struct agg_maps *maps, struct err *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	void *mem;

	maps->control_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "agg_control", 4,
					  sizeof(struct agg_control), 1, &opts);
	if (maps->control_fd < 0)
		return err_sys(err, -errno, "can't create the map of an aggregation");
	mem = mmap(NULL, sizeof(struct agg_control), PROT_READ | PROT_WRITE, MAP_SHARED,
		   maps->control_fd, 0);
	if (mem == MAP_FAILED)
		return err_sys(err, -errno, "can't map the memory of an aggregation");
	maps->control = mem;
	return 0;
}

static int fill(struct agg_maps *maps, const struct layout *layout, bool prealloc, struct err *err)
{
	int rc = add_parts(maps, layout, err);

	if (!rc)
		rc = add_values(maps, layout, err);
	if (rc)
		return rc;
	maps->cpus = libbpf_num_possible_cpus();
	maps->row = agg_row_new(agg_get_spec(maps->agg));
	if (maps->cpus <= 0 || !maps->row || agg_bank_buffers(maps, 256))
		return err_set(err, -ENOMEM, "out of memory");
	rc = make_control(maps, err);
	return rc ? rc : make_banks(maps, prealloc, err);
}

int agg_maps_new(struct agg_maps **out, struct agg *agg, const struct layout *layout, bool prealloc,
		 struct err *err)
{
	struct agg_maps *maps = calloc(1, sizeof(*maps));
	int rc;

	*out = NULL;
	if (!maps)
		return err_set(err, -ENOMEM, "out of memory");
	maps->agg = agg_hold(agg);
	maps->hist = maps->draining = maps->bank_fd[0] = maps->bank_fd[1] = maps->control_fd = -1;
	rc = fill(maps, layout, prealloc, err);
	if (rc) {
		agg_maps_free(maps);
		return rc;
	}
	*out = maps;
	return 0;
}

struct agg_maps *agg_maps_hold(struct agg_maps *maps)
{
	maps->holders++;
	return maps;
}

void agg_maps_free(struct agg_maps *maps)
{
	if (!maps || maps->holders-- > 0)
		return;
	if (maps->control)
		munmap(maps->control, sizeof(*maps->control));
	close_fd(&maps->bank_fd[0]);
	close_fd(&maps->bank_fd[1]);
	close_fd(&maps->control_fd);
	for (int i = 0; i < AGG_MAX_BY; i++) {
		free(maps->names[i]);
		stack_texts_release(maps->parts[i].field.stacks);
	}
	for (int i = 0; i < AGG_MAX_VALUES; i++)
		stack_texts_release(maps->values[i].stacks);
	agg_row_free(agg_get_spec(maps->agg), maps->row);
	free(maps->keys);
	free(maps->numbers);
	agg_free(maps->agg);
	free(maps);
}

static void record_value(const struct field *field, const void *record, struct agg_value *to)
{
	struct value value;

	field_get(field, record, &value);
	to->type = value.type == VALUE_INT ? AGG_INT : AGG_NONE;
	if (to->type == AGG_INT)
		to->i = bank_is_signed(field) ? (agg_int)value.i : (agg_int)(uint64_t)value.i;
}

int agg_maps_add(struct agg_maps *maps, const void *record, struct err *err)
{
	const struct agg_spec *spec = agg_get_spec(maps->agg);
	struct agg_value values[AGG_MAX_VALUES];
	struct agg_key key;
	struct value cell;
	int rc;

	agg_key_start(&key);
	for (int i = 0; i < spec->nr_by; i++) {
		field_get(&maps->parts[i].field, record, &cell);
		agg_key_value(&key, &cell);
	}
	for (int i = 0; i < spec->nr_values; i++)
		record_value(&maps->values[i], record, &values[i]);
	rc = agg_add(maps->agg, &key, values);
	return rc ? err_sys(err, rc, "can't add an event to an aggregation") : 0;
}
