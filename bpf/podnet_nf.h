/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* podnet_nf.h - netfilter's hooks, tables and chains, and packets that are made of others. */
#ifndef BPFNET_PODNET_NF_H
#define BPFNET_PODNET_NF_H

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpadded"
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct nf_hook_state {
	__u8 hook; /* unsigned int before 5.14 */
	__u8 pf;
};

struct nft_table {
	char *name;
};

struct nft_chain {
	struct nft_table *table;
	char *name;
};

struct xt_table {
	char name[32];
};

#pragma clang attribute pop
#pragma clang diagnostic pop

/*
 * These structs belong to modules, whose types we don't read. Where they lie on 64-bit kernels from
 * 5.10 to 7.2 (net/netfilter/nf_tables.h, linux/netfilter/x_tables.h):
 */
enum { NFT_CHAIN_TABLE = 64, NFT_CHAIN_NAME = 88, XT_TABLE_NAME = 56 };

/* This one moves; the engine reads its place from the module's types, where they are (5.11). */
const volatile __u32 cfg_nft_table_name = 240;

static __always_inline void *pointer_at(const void *p)
{
	void *to = NULL;

	bpf_probe_read_kernel(&to, sizeof(to), p);
	return to;
}

static __always_inline void set_chain(struct nf *nf, const struct nft_chain *chain)
{
	const void *table;

	if (bpf_core_type_exists(struct nft_chain)) {
		table = BPF_CORE_READ(chain, table, name);
		bpf_probe_read_kernel_str(nf->chain, sizeof(nf->chain), BPF_CORE_READ(chain, name));
	} else {
		table = pointer_at((void *)chain + NFT_CHAIN_TABLE);
		table = pointer_at(table + cfg_nft_table_name);
		bpf_probe_read_kernel_str(nf->chain, sizeof(nf->chain),
					  pointer_at((void *)chain + NFT_CHAIN_NAME));
	}
	bpf_probe_read_kernel_str(nf->table, sizeof(nf->table), table);
}

static __always_inline void set_table(struct nf *nf, const struct xt_table *table)
{
	const void *name = (void *)table + XT_TABLE_NAME;

	if (bpf_core_type_exists(struct xt_table))
		name = table->name;
	bpf_probe_read_kernel_str(nf->table, sizeof(nf->table), name);
}

/* A name that is none: it was read from the wrong place. */
static __always_inline void check_name(char *name)
{
	if (name[0] <= ' ' || name[0] > '~')
		name[0] = '\0';
}

static __always_inline void set_hook(struct nf *nf, const struct nf_hook_state *state)
{
	bpf_probe_read_kernel(&nf->hook, 1, &state->hook);
	bpf_probe_read_kernel(&nf->pf, 1, &state->pf);
}

static __noinline int enters_hook(struct seen *s, const struct nf_hook_state *state)
{
	struct packet *p = follow(s);

	if (!p)
		return 0;
	clear_nf(&p->nf);
	set_hook(&p->nf, state);
	return 0;
}

/* Not inlined: its stack would add to that of follow(), and 512 bytes are all there is. */
static __noinline void set_place(struct nf *nf, __u32 point, __u64 chain_or_table)
{
	if (point == POINT_NFT_DO_CHAIN)
		set_chain(nf, (void *)chain_or_table);
	else
		set_table(nf, (void *)chain_or_table);
	check_name(nf->table);
	check_name(nf->chain);
}

/* What is dropped by a rule of nftables is freed there: nobody is told a verdict. */
static __noinline int enters_chain(struct seen *s, __u64 chain_or_table)
{
	struct packet *p = follow(s);

	if (p)
		set_place(&p->nf, s->point, chain_or_table);
	return 0;
}

/* The packet may be gone, or be on its way elsewhere: only its address is used. */
static __noinline int leaves_hook(void *ctx, const struct point_call *call, __u32 point, __s64 ret)
{
	struct packet *p = find_packet(call->arg);
	__u64 now = bpf_ktime_get_ns();

	if (!p || p->track.ended || p->track.first_ns > call->ts_ns)
		return 0;
	if (point == POINT_NF_HOOK_SLOW) {
		/* 1: accepted; what was stolen has gone on in the meantime, a drop was told */
		if ((__s32)ret != 1)
			return 0;
		/* its caller holds the state; others may have been entered since */
		set_hook(&p->nf, (void *)call->extra);
		p->nf.verdict = VERDICT_ACCEPT;
	} else {
		p->nf.verdict = ret & 0xff;
		set_place(&p->nf, point, call->extra);
	}
	p->nf.spent_ns = now - call->ts_ns;
	p->facts.ts_ns = now;
	p->facts.cpu = bpf_get_smp_processor_id();
	tell(ctx, p, point, IDENTITY_SAME, &p->nf);
	if (p->nf.verdict == VERDICT_ACCEPT) {
		/* what is dropped later was dropped by someone else */
		p->nf.table[0] = p->nf.chain[0] = '\0';
		p->nf.spent_ns = OPT_NONE;
		p->nf.verdict = VERDICT_NONE;
		if (point == POINT_NF_HOOK_SLOW)
			clear_nf(&p->nf);
	}
	return 0;
}

#define MAX_SEGMENTS 64

/*
 * skb_clone(), skb_copy() and ip_frag_next() return a packet, skb_segment() a list of them;
 * ip_do_fragment() finds one at the packet if there is any.
 */
static __noinline int parts_made(__u64 of, __u64 made, __u32 point)
{
	struct packet *parent = find_packet(of), *p;
	struct sk_buff *skb = (void *)made;
	int max = point == POINT_SKB_SEGMENT || point == POINT_IP_DO_FRAGMENT ? MAX_SEGMENTS : 1;
	__u32 identity = IDENTITY_CLONE + point - POINT_SKB_CLONE;
	__u64 key;

	if (identity > IDENTITY_FRAGMENT)
		identity = IDENTITY_FRAGMENT;
	if (!parent || parent->track.ended)
		return 0;
	for (int i = 0; i < MAX_SEGMENTS; i++) {
		if (i >= max || !skb || (__u64)skb >= -4095ULL)
			break;
		key = (__u64)skb;
		p = new_packet(key, parent);
		if (p) {
			p->track.head = (__u64)BPF_CORE_READ(skb, head);
			p->track.ended = false;
			p->track.made = true;
			p->track.tell = identity;
			if (point != POINT_SKB_CLONE)
				bpf_map_update_elem(&heads, &p->track.head, &key, BPF_ANY);
		}
		skb = BPF_CORE_READ(skb, next);
	}
	return 0;
}

#endif
