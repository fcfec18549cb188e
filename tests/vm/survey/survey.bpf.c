// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// BPF side of survey.c: one small program for each kind of attachment.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

enum { FENTRY, FEXIT, KPROBE, KRETPROBE, KMULTI, TPBTF, TP, CK_FENTRY, CK_KPROBE, CK_KMULTI,
       CK_TPBTF, CK_TP, RINGBUF, SOCKOPS, SKMSG, REDIRECTED, ITER, NHITS };
__u64 hits[NHITS];

struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } ring SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_SOCKHASH); __uint(max_entries, 64);
	 __type(key, __u64); __type(value, __u64); } socks SEC(".maps");

#define HIT(i) __sync_fetch_and_add(&hits[i], 1)

SEC("fentry/tcp_v4_connect") int t_fentry(void *c) { HIT(FENTRY); return 0; }
SEC("fexit/tcp_v4_connect") int t_fexit(void *c) { HIT(FEXIT); return 0; }
SEC("kprobe/tcp_v4_connect") int t_kprobe(void *c) { HIT(KPROBE); return 0; }
SEC("kretprobe/tcp_v4_connect") int t_kretprobe(void *c) { HIT(KRETPROBE); return 0; }
SEC("kprobe.multi/tcp_v4_connect") int t_kmulti(void *c) { HIT(KMULTI); return 0; }
SEC("tp_btf/inet_sock_set_state") int t_tpbtf(void *c) { HIT(TPBTF); return 0; }
SEC("tp/sock/inet_sock_set_state") int t_tp(void *c) { HIT(TP); return 0; }

#define COOKIE(sec, name, i) \
	SEC(sec) int name(void *c) { if (bpf_get_attach_cookie(c) == 77) HIT(i); return 0; }
COOKIE("fentry/tcp_v4_connect", t_ck_fentry, CK_FENTRY)
COOKIE("kprobe/tcp_v4_connect", t_ck_kprobe, CK_KPROBE)
COOKIE("kprobe.multi/tcp_v4_connect", t_ck_kmulti, CK_KMULTI)
COOKIE("tp_btf/inet_sock_set_state", t_ck_tpbtf, CK_TPBTF)
COOKIE("tp/sock/inet_sock_set_state", t_ck_tp, CK_TP)

SEC("tp/sock/inet_sock_set_state") int t_ringbuf(void *c)
{
	__u64 v = 1;
	bpf_ringbuf_output(&ring, &v, sizeof v, 0);
	return 0;
}

SEC("sockops") int t_sockops(struct bpf_sock_ops *s)
{
	__u64 key;
	if (s->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && s->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	HIT(SOCKOPS);
	key = (__u64)s->local_port << 32 | __builtin_bswap32(s->remote_port);
	bpf_sock_hash_update(s, &socks, &key, BPF_ANY);
	return 1;
}

SEC("sk_msg") int t_skmsg(struct sk_msg_md *m)
{
	__u64 key = (__u64)__builtin_bswap32(m->remote_port) << 32 | m->local_port;
	HIT(SKMSG);
	if (bpf_msg_redirect_hash(m, &socks, &key, BPF_F_INGRESS) == SK_PASS)
		HIT(REDIRECTED);
	return SK_PASS;
}

struct bpf_iter__sockmap { void *meta; void *map; void *key; void *sk; }
	__attribute__((preserve_access_index));
SEC("iter/sockmap") int t_iter(struct bpf_iter__sockmap *c)
{
	if (c->sk)
		HIT(ITER);
	return 0;
}
