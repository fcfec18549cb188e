// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Prints the ids of all BPF programs, maps and links of this kernel, a line each: "map 42".
 *
 * Not bpftool: it opens each object, and one that is just going away may then stay for ever: a program
 * array empties itself whenever its last descriptor is closed, by work that holds the array, and
 * if that is asked for again before it has run, one hold too many is taken (prog_array_map_clear in
 * kernel/bpf/arraymap.c, as of 6.18).
 */
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void list(const char *kind, int cmd)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	while (!syscall(SYS_bpf, cmd, &attr, sizeof(attr))) {
		printf("%s %u\n", kind, attr.next_id);
		attr.start_id = attr.next_id;
	}
}

int main(void)
{
	list("prog", BPF_PROG_GET_NEXT_ID);
	list("map", BPF_MAP_GET_NEXT_ID);
	list("link", BPF_LINK_GET_NEXT_ID);
	return 0;
}
