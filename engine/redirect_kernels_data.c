/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The list of known-bad kernels: data only.
 *
 * It has what a redirect by sockops and sk_msg into a SOCKHASH can meet. Not in it, though bugs of
 * the same code: what needs apply_bytes, cork_bytes, push or pop (CVE-2024-46783, CVE-2024-56633,
 * CVE-2026-68284, CVE-2026-74589), a SOCKMAP or the replacing of an entry (CVE-2024-56664),
 * sk_skb programs, other than TCP sockets, MPTCP, and TLS on a socket of the map, none of which the
 * redirect uses. Versions are those of the CVE records and of Debian's changelogs; where `likely` is
 * set, a stable branch's version was inferred from the day of its sister's release.
 *
 * For FIONREAD the fix is on record for 6.12 and mainline; 6.6, 6.18 and 7.1 may have it since.
 */
#include "redirect_kernels.h"

const struct redirect_kernel redirect_kernels[] = {
	{
		.since = "0.0",
		.fixed = "5.15",
		.what = "sockops programs cannot tell network namespaces apart",
		.source = "bpf: Allow bpf_get_netns_cookie in BPF_PROG_TYPE_SOCK_OPS",
	},
	{
		.since = "5.15",
		.fixed = "5.15.66 5.19.8 6.0",
		.what = "reading a redirected message can crash it",
		.source = "skmsg: Fix wrong last sg check in sk_msg_recvmsg()",
		.likely = true,
	},
	{
		.since = "5.13",
		.fixed = "5.15.162 6.1.95 6.6.35 6.9.6 6.10",
		.what = "a close() while the connection is let go can leave its socket open for ever",
		.source = "CVE-2024-39500",
	},
	{
		.since = "4.18",
		.fixed = "6.6.128 6.12.75 6.18.14 6.19.4 7.0",
		.what = "FIONREAD leaves out what was redirected: programs that size their reads "
			"by it (nginx, Java, .NET) may stall",
		.source = "bpf, sockmap: Fix FIONREAD for sockmap",
	},
	{
		.since = "6.6.128 6.12.75 6.18.14 6.19.4 7.0",
		.fixed = "6.12.114 7.2",
		.what = "FIONREAD on a connection taken over leaves out what came by TCP: programs "
			"that size their reads by it (nginx, Java, .NET) may stall",
		.source = "bpf, sockmap: Account for receive queue in FIONREAD without a verdict "
			  "program",
		.warns = true,
	},
	{ .since = NULL },
};
