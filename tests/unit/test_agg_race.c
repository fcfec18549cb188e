/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Nothing is lost or counted twice while aggregations in the kernel are collected at full speed. Needs
 * BPF.
 */
#define T_SECONDS 250 /* emulated machines are slow */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include "agg_adder.h"

/* What writers did, and what the aggregation has of it. */
struct totals {
	uint64_t count, sum;
};

/* The values 1 to n, once each. */
static void add_values(struct totals *totals, uint64_t n)
{
	totals->count += n;
	totals->sum += n * (n + 1) / 2;
}

static struct totals totals_of(struct agg *agg)
{
	struct agg_sort sort = { .what = AGG_COUNT };
	struct totals totals = { 0, 0 };
	struct agg_view view;

	CHECK_INT(agg_view(agg, &sort, 1, &view), 0);
	for (uint32_t i = 0; i < view.n; i++) {
		totals.count += view.rows[i]->count;
		totals.sum += (uint64_t)view.rows[i]->cells[0].sum;
	}
	totals.count += view.other->count;
	totals.sum += (uint64_t)view.other->cells[0].sum;
	return totals;
}

/* pause: us between two collections. More than three, also where writers leave little time for it. */
static void collect_for(struct agg_maps *maps, uint64_t ns, unsigned pause)
{
	uint64_t until = now_ns() + ns;

	for (int n = 0; n <= 3 || now_ns() < until; n++) {
		collect(maps);
		usleep(pause);
	}
}

static void check_totals(struct agg *agg, struct totals want, bool no_rest)
{
	struct totals got = totals_of(agg);

	CHECK_INT(agg_dropped(agg), 0);
	CHECK_INT(got.count, want.count);
	CHECK_INT(got.sum, want.sum);
	if (no_rest)
		CHECK_INT(agg_overflow(agg), 0);
}

#define WRITERS 2
#define BURST   500

struct writer {
	pthread_t thread;
	struct adder adder;
	uint64_t events;
};

static atomic_bool stop;

static void *write_events(void *arg)
{
	struct writer *w = arg;

	while (!stop) {
		run(&w->adder, BURST);
		w->events += BURST;
	}
	return NULL;
}

/* Two threads in the kernel at full speed, with the same keys, while the banks are changed. */
static void race(const char *const *values, bool prealloc, uint32_t max_keys, unsigned pause)
{
	struct agg *agg = make_agg(LIST("u16", "comm"), values, max_keys);
	struct writer writers[WRITERS] = { 0 };
	struct totals want = { 0, 0 };
	struct agg_maps *maps;

	if (agg_maps_new(&maps, agg, layout, prealloc, &err))
		die_of("agg_maps_new");
	stop = false;
	for (int i = 0; i < WRITERS; i++)
		adder_new(&writers[i].adder, maps, 64);
	for (int i = 0; i < WRITERS; i++)
		CHECK_INT(pthread_create(&writers[i].thread, NULL, write_events, &writers[i]), 0);
	collect_for(maps, 1200 * NSEC_PER_MSEC, pause);
	stop = true;
	for (int i = 0; i < WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		add_values(&want, writers[i].events);
	}
	collect(maps);
	check_totals(agg, want, prealloc && max_keys > 64);
	for (int i = 0; i < WRITERS; i++)
		adder_free(&writers[i].adder);
	agg_maps_free(maps);
	agg_free(agg);
}

static void races(void)
{
	start();
	make_layout();
	for (unsigned pause = 0; pause <= 10000; pause += 10000) {
		race(LIST("sum seq"), true, 1000, pause);
		race(LIST("sum seq", "hist seq", "max u32"), true, 2000, pause);
		race(LIST("sum seq", "min seq"), true, 20, pause);
		if (caps_map_alloc())
			race(LIST("sum seq", "hist seq"), false, 10000, pause);
	}
	layout_free(layout);
	types_free(&types);
}

#ifdef __x86_64__

#define MAGIC   0x62706e6574ULL /* second argument of the calls that are meant */
#define REGS_SI 104 /* struct pt_regs */
#define REGS_DI 112

/*
 * Adds an event for each getppid(value, MAGIC), of whatever process; and to two words of the map
 * `seen`, since the kernel leaves out runs when the program was preempted.
 */
static int call_counter(const struct agg_maps *maps, int seen)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_RAW_TP);
	int id = libbpf_find_vmlinux_btf_id("sys_enter", BPF_TRACE_RAW_TP), out;
	struct code code;

	CHECK(id > 0);
	opts.attach_btf_id = (uint32_t)id;
	code_init(&code);
	out = code_label(&code);
	code_load(&code, 8, BPF_REG_2, BPF_REG_1, 8);
	code_jump_if_imm(&code, BPF_JNE, BPF_REG_2, SYS_getppid, out);
	code_load(&code, 8, BPF_REG_3, BPF_REG_1, 0);
	code_load(&code, 8, BPF_REG_2, BPF_REG_3, REGS_SI);
	code_jump_if_imm(&code, BPF_JNE, BPF_REG_2, MAGIC, out);
	code_load(&code, 8, BPF_REG_2, BPF_REG_3, REGS_DI);
	code_map_value(&code, BPF_REG_3, seen, 0);
	code_mov_imm(&code, BPF_REG_4, 1);
	code_atomic_add(&code, BPF_REG_3, 0, BPF_REG_4);
	code_atomic_add(&code, BPF_REG_3, 8, BPF_REG_2);
	code_mov(&code, CODE_ROOM, BPF_REG_10);
	code_alu_imm(&code, BPF_ADD, CODE_ROOM, -ROOM);
	code_mov(&code, CODE_RECORD, BPF_REG_10);
	code_alu_imm(&code, BPF_ADD, CODE_RECORD, -ROOM - RECORD);
	for (int i = 0; i < RECORD; i += 8)
		code_store_imm(&code, 8, CODE_RECORD, i, 0);
	code_store(&code, 8, CODE_RECORD, 0, BPF_REG_2);
	code_alu_imm(&code, BPF_AND, BPF_REG_2, 63);
	code_store(&code, 2, CODE_RECORD, (int)layout_field(layout, "u16")->offset, BPF_REG_2);
	if (agg_maps_code(maps, &code, &err))
		die_of("agg_maps_code");
	code_place(&code, out);
	return load(&code, BPF_PROG_TYPE_TRACING, &opts);
}

/* Runs that the kernel left out. */
static uint64_t missed(int prog_fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);

	CHECK_INT(bpf_obj_get_info_by_fd(prog_fd, &info, &size), 0);
	return info.recursion_misses;
}

struct shared {
	atomic_bool stop;
	uint64_t calls[WRITERS];
};

static pid_t start_caller(struct shared *shared, int i)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	while (!shared->stop)
		syscall(SYS_getppid, ++shared->calls[i], MAGIC);
	_exit(0);
}

static void system_calls(void)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct totals want = { 0, 0 }, seen;
	struct agg *agg;
	struct agg_maps *maps;
	pid_t pids[WRITERS];
	int prog_fd, link_fd, seen_fd;
	uint8_t *words;

	start();
	make_layout();
	agg = make_agg(LIST("u16", "comm"), LIST("sum seq", "hist seq"), 10000);
	maps = make_maps(agg);
	seen_fd = record_map(&words);
	prog_fd = call_counter(maps, seen_fd);
	link_fd = bpf_raw_tracepoint_open(NULL, prog_fd);
	if (link_fd < 0)
		SKIP("tp_btf/sys_enter can't be attached");
	for (int i = 0; i < WRITERS; i++)
		pids[i] = start_caller(shared, i);
	for (int i = 0; i < 3; i++)
		collect_for(maps, 1000 * NSEC_PER_MSEC, i == 2 ? 0 : 10000);
	shared->stop = true;
	for (int i = 0; i < WRITERS; i++) {
		waitpid(pids[i], NULL, 0);
		add_values(&want, shared->calls[i]);
	}
	close(link_fd);
	collect(maps);
	memcpy(&seen, words, sizeof(seen));
	check_totals(agg, seen, false);
	/* what was missed may have been another process' call */
	CHECK(seen.count <= want.count && seen.count + missed(prog_fd) >= want.count);
	if (!missed(prog_fd))
		CHECK_INT(seen.sum, want.sum);
	munmap(words, RECORD);
	close(seen_fd);
	close(prog_fd);
	agg_maps_free(maps);
	agg_free(agg);
	layout_free(layout);
	types_free(&types);
}

#endif

/* The bank is changed between a program's two looks at it: it has to go to the other one. */
static void changes_of_bank(void)
{
	start();
	make_layout();
	for (flips = 0; flips <= 4; flips++) {
		struct agg *agg = make_agg(LIST("u16"), LIST("sum seq"), 100);
		struct agg_maps *maps = make_maps(agg);
		struct adder adder;

		adder_new(&adder, maps, 16);
		run(&adder, 1);
		CHECK_INT(maps->control->active, flips % 2);
		for (int i = 0; i < CONTROL_SLOTS; i++)
			CHECK_INT(maps->control->slots[i].inside[0] |
					  maps->control->slots[i].inside[1],
				  0);
		collect(maps);
		CHECK_INT(totals_of(agg).count, flips < 4);
		CHECK_INT(agg_dropped(agg), flips == 4);
		adder_free(&adder);
		agg_maps_free(maps);
		agg_free(agg);
	}
	layout_free(layout);
	types_free(&types);
}

/* A program that never leaves: collecting gives up, and later gets it all. */
static void stuck(void)
{
	struct agg *agg;
	struct agg_maps *maps;
	struct adder adder;
	uint64_t *inside;

	start();
	make_layout();
	agg = make_agg(LIST("u16"), LIST("sum seq"), 100);
	maps = make_maps(agg);
	adder_new(&adder, maps, 16);
	inside = &maps->control->slots[CONTROL_SLOTS - 1].inside[0];
	run(&adder, 100);
	*inside = 1;
	CHECK_INT(agg_maps_collect(maps, &err), -ETIMEDOUT);
	CHECK_INT(totals_of(agg).count, 0);
	run(&adder, 100);
	CHECK_INT(agg_maps_collect(maps, &err), -ETIMEDOUT);
	*inside = 0;
	collect(maps);
	CHECK_INT(totals_of(agg).count, 200);
	CHECK_INT(totals_of(agg).sum, 200 * 201 / 2);
	adder_free(&adder);
	agg_maps_free(maps);
	agg_free(agg);
	layout_free(layout);
	types_free(&types);
}

static const struct t_case cases[] = {
	{ "nothing is lost or counted twice while two threads write", races },
#ifdef __x86_64__
	{ "nothing is lost or counted twice of two processes' system calls", system_calls },
#endif
	{ "a bank that is changed while a program enters it", changes_of_bank },
	{ "a program that does not end holds up, and loses nothing", stuck },
};

T_MAIN(cases)
