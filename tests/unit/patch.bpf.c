/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What test_patch.c puts code into: two places for it, with jumps and calls over them, and places
 * for code of other kinds in functions that are called.
 */
#include "pcap.h"
#include "probe.h"

struct patch_event {
	__u64 words[4];
};

PROBE_EVENTS(struct patch_event, "an event of test_patch.c");

static __noinline __u64 twice(__u64 x)
{
	return x < 1000 ? 2 * x : 0;
}

/* args: two words of the event; returns both verdicts and what lies around them */
SEC("raw_tp")
int judge(__u64 *args)
{
	struct patch_event ev = { { args[0], args[1], 3, 4 } };
	__u64 first, second, sum = 0;

	first = stage(&ev);
	for (int i = 0; i < 4; i++)
		sum += ev.words[i];
	if (first == 7)
		return 7;
	ev.words[0] = twice(ev.words[0]);
	second = stage(&ev);
	if (second > 100)
		second = 100;
	return (int)(first * 1000000 + second * 1000 + twice(sum));
}

/* args: a word, what it shall be, what it becomes; returns what was said, and the word */
SEC("raw_tp")
int exchange(__u64 *args)
{
	__u64 word = args[0];
	enum exchange said = compare_exchange(&word, args[1], args[2]);

	return (int)(said * 1000000 + twice(word));
}

/* args: data, caplen, wirelen; returns what each call said, behind each other */
SEC("raw_tp")
int sift(__u64 *args)
{
	const void *data = (const void *)args[0];
	__u32 caplen = args[1], wirelen = args[2], said;

	said = pcap_passes_ether(data, caplen, wirelen);
	said = said * 10 + pcap_passes_ip(data, caplen, wirelen);
	said = said * 10 + pcap_passes_ether(data, caplen + 1, wirelen);
	return (int)(said * 1000 + twice(wirelen));
}
