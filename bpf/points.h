/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * points.h - places in the kernel where an object is seen on its way, chosen when the probe starts.
 *
 * A probe with points has a table of them, point_ways, which the engine reads (it never gets into
 * the kernel), and two functions:
 *
 *	static int point_seen(void *ctx, __u64 cookie, __u64 arg, __u64 extra);
 *	static int point_left(void *ctx, const struct point_call *call, __s64 ret);
 *
 * POINT_PROGRAMS then makes programs that any number of kernel functions can share; the engine
 * attaches them by the best way that the kernel has: all functions at once (kprobe.multi), each by
 * a kprobe, or, where they are few, each by a fentry program, a copy of one with the function's
 * own argument numbers put in. A point whose target is "" is a tracepoint: the program
 * <point>__<way> of the same object, which is loaded only if the point is wanted. An object that
 * wants to know which are has a `const volatile __u64 cfg_points[2]`, bit = id.
 *
 *	const struct point_way point_ways[] POINT_WAYS = {
 *		{ "ip_rcv", "ip_rcv", "ip", POINT_IP_RCV, 0, POINT_NO_ARG },
 *		...
 *	};
 */
#ifndef BPFNET_POINTS_H
#define BPFNET_POINTS_H

#include "context.h"

/* What the engine knows about one way to hook one point; rows of a point stand together. */
struct point_way {
	char point[32];
	/* a kernel function; "": the point's own programs; "=X": X__<way>, which always run */
	char target[40];
	char group[12]; /* for `points = "GROUP"` */
	__u32 id; /* the probe's number for the point */
	__u32 arg; /* the argument that is followed, from 0 */
	__u32 extra; /* another argument that is wanted; POINT_NO_ARG */
	__u32 flags;
	__u32 since, before; /* kernel versions as in KERNEL_VERSION(), 0: any */
	__u32 alt; /* rows with the same number go together; the lowest that the kernel has is taken */
	__u32 optional; /* POINT_OPTIONAL, POINT_ALWAYS */
	char module[16]; /* the one that has the function; hooked when it is loaded. "": none */
};

/* Only hooked if it is named; hooked whatever is named. */
enum { POINT_OPTIONAL = 1, POINT_ALWAYS = 2 };

#define POINT_NO_ARG 0xff
#define POINT_WAYS   SEC(".rodata.points")
enum {
	POINT_DEREF = 1, /* the argument points to a pointer to what is followed */
	POINT_RETURN = 2, /* seen when the function returns, with what it returns */
	POINT_ENTER = 4, /* and when it is entered as well */
};

/* The row's part that a program gets: from the attach cookie, or put into its code. */
#define POINT_COOKIE(id, arg, extra, flags)                                                        \
	((__u64)(id) | (__u64)(arg) << 8 | (__u64)(extra) << 16 | (__u64)(flags) << 24)
#define POINT_ID(cookie)    ((__u32)((cookie)&0xff))
#define POINT_ARG(cookie)   ((__u32)((cookie) >> 8 & 0xff))
#define POINT_EXTRA(cookie) ((__u32)((cookie) >> 16 & 0xff))
#define POINT_FLAGS(cookie) ((__u32)((cookie) >> 24))

const volatile bool cfg_point_cookie = false; /* bpf_get_attach_cookie() is there (5.15) */

/* Where it is not: the cookie by the function's address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, __u64);
} point_cookies SEC(".maps");

/* A call of a function that will return. */
struct point_call {
	__u64 cookie;
	__u64 arg;
	__u64 extra;
	__u64 ts_ns;
};

struct point_call_key {
	__u64 id_and_where; /* the point's id, and what was interrupted if anything was */
	__u64 task; /* and CPU: the idle tasks of all have the same number */
};

/* A nested call of the same function takes the outer one's place, whose return is not told then. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct point_call_key);
	__type(value, struct point_call);
} point_calls SEC(".maps");

static int point_seen(void *ctx, __u64 cookie, __u64 arg, __u64 extra);
static int point_left(void *ctx, const struct point_call *call, __s64 ret);

static __always_inline struct point_call_key point_call_key(__u64 cookie)
{
	enum context where = context();
	__u64 task = (__u32)bpf_get_current_pid_tgid();

	/* Only a task's own call may go on on another CPU. */
	if (where != CONTEXT_TASK || !task)
		task |= (1ULL + bpf_get_smp_processor_id()) << 32;
	return (struct point_call_key){ POINT_ID(cookie) | (__u64)where << 32, task };
}

/* Not inlined: its stack would add to that of point_seen(), and 512 bytes are all there is. */
static __noinline int point_note_call(__u64 cookie, __u64 arg, __u64 extra)
{
	struct point_call_key key = point_call_key(cookie);
	struct point_call call = { cookie, arg, extra, bpf_ktime_get_ns() };

	bpf_map_update_elem(&point_calls, &key, &call, BPF_ANY);
	return 0;
}

static __always_inline int point_enter(void *ctx, __u64 cookie, __u64 arg, __u64 extra)
{
	if (POINT_FLAGS(cookie) & POINT_DEREF)
		bpf_probe_read_kernel(&arg, sizeof(arg), (void *)arg);
	if (POINT_FLAGS(cookie) & POINT_RETURN) {
		point_note_call(cookie, arg, extra);
		if (!(POINT_FLAGS(cookie) & POINT_ENTER))
			return 0;
	}
	return point_seen(ctx, cookie, arg, extra);
}

static __always_inline int point_return(void *ctx, __u64 cookie, __s64 ret)
{
	struct point_call_key key = point_call_key(cookie);
	struct point_call *in_map = bpf_map_lookup_elem(&point_calls, &key), call;

	if (!in_map)
		return 0;
	call = *in_map;
	bpf_map_delete_elem(&point_calls, &key);
	return point_left(ctx, &call, ret);
}

/* clang would make one load of four, from a context pointer that the verifier refuses. */
static __always_inline __u64 point_param(struct pt_regs *regs, __u32 n)
{
	__u64 first = PT_REGS_PARM1(regs), second = PT_REGS_PARM2(regs),
	      third = PT_REGS_PARM3(regs), fourth = PT_REGS_PARM4(regs);

	barrier_var(first);
	barrier_var(second);
	barrier_var(third);
	barrier_var(fourth);
	switch (n) {
	case 0:
		return first;
	case 1:
		return second;
	case 2:
		return third;
	case 3:
		return fourth;
	}
	return 0;
}

static __always_inline __u64 point_cookie_by_address(__u64 address)
{
	__u64 *cookie = bpf_map_lookup_elem(&point_cookies, &address);

	return cookie ? *cookie : 0;
}

/*
 * The engine puts instructions in the place of these constants when it copies a program for a
 * function (engine/patch.h): the row's cookie, or a load from the context in r6. Where a kretprobe
 * has no attach cookie, it too is a copy for each function: it can't tell which one returned.
 */
#define POINT_MARK_COOKIE "0x62706e6574706f31" /* "bpnetpo1" */
#define POINT_MARK_ARG    "0x62706e6574706f32"
#define POINT_MARK_EXTRA  "0x62706e6574706f33"
#define POINT_MARK_RET    "0x62706e6574706f34"

/* A pointer that the verifier knows, as a number that can be stored, split and compared. */
static __always_inline __u64 point_number(__u64 pointer)
{
	__u64 number = 0;

	asm volatile("lock *(u64 *)(%[n] + 0) += %[p]" ::[n] "r"(&number), [p] "r"(pointer)
		     : "memory");
	return number;
}

#define POINT_MARKED(mark, ctx)                                                                    \
	({                                                                                         \
		__u64 _v;                                                                          \
		asm volatile("r6 = %[c]\n"                                                         \
			     "r0 = " mark " ll\n"                                                  \
			     "%[v] = r0\n"                                                         \
			     : [v] "=r"(_v)                                                        \
			     : [c] "r"(ctx)                                                        \
			     : "r0", "r6");                                                        \
		_v;                                                                                \
	})

/* On a kprobe the instruction pointer is behind the first byte of the function. */
#define POINT_PROGRAMS                                                                             \
	SEC("fentry/point")                                                                        \
	int enter__fentry(__u64 *ctx)                                                              \
	{                                                                                          \
		return point_enter(ctx, POINT_MARKED(POINT_MARK_COOKIE, ctx),                      \
				   point_number(POINT_MARKED(POINT_MARK_ARG, ctx)),                \
				   point_number(POINT_MARKED(POINT_MARK_EXTRA, ctx)));             \
	}                                                                                          \
	SEC("fexit/point")                                                                         \
	int return__fentry(__u64 *ctx)                                                             \
	{                                                                                          \
		return point_return(ctx, POINT_MARKED(POINT_MARK_COOKIE, ctx),                     \
				    point_number(POINT_MARKED(POINT_MARK_RET, ctx)));              \
	}                                                                                          \
	SEC("kprobe.multi/point")                                                                  \
	int enter__multi(struct pt_regs *ctx)                                                      \
	{                                                                                          \
		__u64 cookie = bpf_get_attach_cookie(ctx);                                         \
                                                                                                   \
		return point_enter(ctx, cookie, point_param(ctx, POINT_ARG(cookie)),               \
				   point_param(ctx, POINT_EXTRA(cookie)));                         \
	}                                                                                          \
	SEC("kretprobe.multi/point")                                                               \
	int return__multi(struct pt_regs *ctx)                                                     \
	{                                                                                          \
		return point_return(ctx, bpf_get_attach_cookie(ctx), PT_REGS_RC(ctx));             \
	}                                                                                          \
	SEC("kprobe/point")                                                                        \
	int enter__kprobe(struct pt_regs *ctx)                                                     \
	{                                                                                          \
		__u64 cookie = cfg_point_cookie ? bpf_get_attach_cookie(ctx) :                     \
						  point_cookie_by_address(PT_REGS_IP(ctx));        \
                                                                                                   \
		return point_enter(ctx, cookie, point_param(ctx, POINT_ARG(cookie)),               \
				   point_param(ctx, POINT_EXTRA(cookie)));                         \
	}                                                                                          \
	SEC("kretprobe/point")                                                                     \
	int return__kprobe(struct pt_regs *ctx)                                                    \
	{                                                                                          \
		__u64 cookie = cfg_point_cookie ? bpf_get_attach_cookie(ctx) :                     \
						  POINT_MARKED(POINT_MARK_COOKIE, ctx);            \
                                                                                                   \
		return point_return(ctx, cookie, PT_REGS_RC(ctx));                                 \
	}

#endif
