/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Packet filters in the kernel against libpcap's own interpreter: every filter on every packet, whole
 * and cut off, as Ethernet frames and from the IP header on.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include "caps.h"
#include "code.h"
#include "globals.h"
#include "log.h"
#include "patch.h"
#include "pcap_classic.h"
#include "pcap_code.h"
#include "pcap_packets.h"
#include "t.h"

#define COMBINED 60 /* filters made of several, if BPFNET_RANDOM does not ask for less */

/* libpcap's interpreter. Its header can't stand beside linux/bpf.h: each has a struct bpf_insn. */
unsigned bpf_filter(const struct pcap_insn *insns, const unsigned char *packet, unsigned wirelen,
		    unsigned caplen);

/* of pcap.bpf.c */
struct test_packet {
	uint32_t caplen;
	uint32_t wirelen;
	uint8_t bytes[2048];
};

static const char *const filters[] = {
	"tcp",
	"udp",
	"icmp",
	"icmp6",
	"ip",
	"ip6",
	"arp",
	"sctp",
	"not tcp and not udp",
	"ip proto 47",
	"ip6 proto 44",
	"proto 6",
	"port 53",
	"port domain",
	"tcp port 443",
	"tcp port https",
	"src port 443",
	"tcp dst port 80",
	"udp src port 53 or tcp dst port 443",
	"portrange 1-1023",
	"udp dst portrange 4000-5000",
	"host 10.0.0.1",
	"src host 10.0.0.1 and dst host 10.0.0.2",
	"tcp port 443 and host 10.0.0.1",
	"host fd00::1",
	"dst host ff02::fb",
	"host 8.8.8.8 or host fe80::1",
	"net 10.0.0.0/8",
	"src net 192.168.0.0/16",
	"dst net 10.0.0.0 mask 255.255.255.0",
	"net fd00::/8",
	"ip6 net fe80::/10",
	"ip src 10.0.0.1",
	"arp host 10.0.0.1",
	"ether host 02:00:00:00:00:01",
	"ether src 02:00:00:00:00:02",
	"ether dst ff:ff:ff:ff:ff:ff",
	"ether broadcast",
	"ether multicast",
	"ip multicast",
	"ip6 multicast",
	"ether proto 0x88cc",
	"stp",
	"vlan",
	"vlan 100",
	"vlan and tcp port 443",
	"vlan 5 and vlan 100 and udp port 53",
	"mpls",
	"mpls 100 and tcp",
	"pppoes and udp port 53",
	"less 60",
	"greater 100",
	"len > 58 and len <= 74",
	"tcp[tcpflags] & tcp-syn != 0",
	"tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn",
	"tcp[13] = 0x12 or tcp[13] & 4 != 0",
	"tcp port 80 and (((ip[2:2] - ((ip[0] & 0xf) << 2)) - ((tcp[12] & 0xf0) >> 2)) != 0)",
	"tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420",
	"icmp[icmptype] = icmp-echo",
	"icmp[icmptype] = icmp-unreach and icmp[icmpcode] = 4",
	"icmp6[icmp6type] = 135",
	"ip[0] & 0xf > 5",
	"ip[6:2] & 0x1fff != 0",
	"ip[6] & 0x20 != 0 and ip[6:2] & 0x1fff = 0",
	"ip[8] * 2 + 3 = 131",
	"ip[2:2] / 7 > 16 and ip[2:2] % 7 = 1",
	"len / ip[9] > 10",
	"len % (ip[1] & 1) = 0",
	"ip[1] << (ip[8] & 7) = 0x10",
	"1 << ip[8] = 0 or 0xffffffff >> ip[9] > 1000",
	"-ip[8] & 0xff = 192",
	"ip[12:4] ^ ip[16:4] = 3",
	"ip[12:4] | 0x80000000 >= 0x8a000000",
	"ip[12:4] + 0xffffffff > ip[16:4]",
	"ip[16:4] >= 0xe0000000",
	"ether[0] & 1 = 1",
	"ether[1:4] = 0 and ether[3:2] = 0",
	"ether[60] >= 0x30",
	"ether[100:4] != 0",
	"len > 100 or udp[500] = 0",
	"ether[len - 1] = 0x78",
	"ip[9] = 17 or ip[0x7ffffff0:2] = ip[2:2] or udp[0x7fffffff] = 1",
	"udp[0xfffffff0:4] = 1 or ip6[6] = 17",
	"ip[ip[8] & 0x1f] != 0",
	"ip6[6] = 6 and ip6[40:2] > 1024",
	"udp[8:4] = 0x61206461",
	"(ip[0]+(ip[1]*(ip[2]+(ip[3]^(ip[4]+(ip[5]|(ip[6]+ip[7]))))))) > 300",
	"(ip[0] & len) + ((ip[1] | len) + ((ip[8] ^ len) * ((ip[9] + len) - (ip[3] * len)))) > 900",
};

#define NR_FILTERS ((int)(sizeof(filters) / sizeof(*filters)))

static struct bpf_object *obj;
static struct test_packet *shared;
static struct err err;
static int matched, left_out;

static int prepare(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long unused)
{
	(void)unused;
	return patch_program(prog, opts);
}

static void start(void)
{
	LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_prepare_load_fn = prepare);

	log_catch_libbpf();
	if (caps_check(&err))
		SKIP("%s", err.msg);
	libbpf_register_prog_handler("raw_tp+", BPF_PROG_TYPE_RAW_TRACEPOINT, 0, &opts);
	make_packets();
}

static void load(const char *text, const struct code *ether_code, const struct code *ip_code)
{
	const struct patch_set set = {
		.code = { [PATCH_PCAP_ETHER] = ether_code, [PATCH_PCAP_IP] = ip_code },
	};

	obj = bpf_object__open_file(".output/unit/pcap.bpf.o", NULL);
	CHECK(obj);
	log_libbpf_reset();
	patch_use(&set);
	if (bpf_object__load(obj))
		FAIL("%s: the kernel refuses the code: %s", text, log_libbpf_reason());
	CHECK_INT(globals_go_live(obj), 0);
	shared = globals_find(obj, ".bss", "packet", sizeof(*shared));
	CHECK(shared);
}

static int program(const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(obj, name));
}

static int passes(int prog_fd, const uint8_t *bytes, unsigned len, unsigned caplen)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	memcpy(shared->bytes, bytes, len);
	shared->caplen = caplen;
	shared->wirelen = len;
	CHECK_INT(bpf_prog_test_run_opts(prog_fd, &opts), 0);
	return (int)opts.retval;
}

/* prog NULL: none matches */
static void compare_on(const char *text, int prog_fd, const struct pcap_program *prog,
		       const uint8_t *bytes, unsigned len, unsigned caplen)
{
	int got = passes(prog_fd, bytes, len, caplen), want = 0;

	if (prog)
		want = bpf_filter(prog->insns, bytes, len, caplen) != 0;
	if (got != want)
		FAIL("%s: on %u of %u bytes, type 0x%02x%02x: got %d, expected %d", text, caplen,
		     len, bytes[12], bytes[13], got, want);
	matched += want;
	left_out += !want;
}

static void compare(const char *text, int prog_fd, const struct pcap_program *prog, unsigned skip)
{
	for (int i = 0; i < nr_packets; i++) {
		const uint8_t *bytes = packets[i].bytes + skip;
		unsigned len = packets[i].len > skip ? packets[i].len - skip : 0;

		compare_on(text, prog_fd, prog, bytes, len, len);
		for (int n = 0; n < 3; n++)
			compare_on(text, prog_fd, prog, bytes, len,
				   (unsigned)lrand48() % (len + 1));
	}
}

static void compile(const char *text, enum patch_mark which, struct code *code)
{
	code_init(code);
	if (pcap_code(text, which, code, &err))
		FAIL("%s", err.msg);
}

/* One filter at both marks of one object. */
static void check_filter(const char *text)
{
	struct code ether_code, ip_code;
	struct pcap_program from_ether, from_ip;
	bool has_ip;

	CHECK_INT(pcap_classic(text, PCAP_LINK_ETHER, &from_ether, &err), 0);
	has_ip = pcap_classic(text, PCAP_LINK_IP, &from_ip, &err) == 0;
	compile(text, PATCH_PCAP_ETHER, &ether_code);
	compile(text, PATCH_PCAP_IP, &ip_code);
	load(text, &ether_code, &ip_code);
	compare(text, program("ether"), &from_ether, 0);
	compare(text, program("ip"), has_ip ? &from_ip : NULL, ETHER_LEN);
	bpf_object__close(obj);
	code_free(&ether_code);
	code_free(&ip_code);
	pcap_classic_free(&from_ether);
	pcap_classic_free(&from_ip);
}

static void agrees_with_libpcap(void)
{
	start();
	for (int i = 0; i < NR_FILTERS; i++) {
		matched = left_out = 0;
		check_filter(filters[i]);
		if (!matched || !left_out)
			FAIL("%s: %d packets match, %d do not: that says little", filters[i],
			     matched, left_out);
	}
}

static void agrees_on_every_cut(void)
{
	const char *text =
		"(tcp or udp) and port 53 or (host 10.0.0.1 and ip[8] > 3) or ip6[41] = 1";
	struct pcap_program prog;
	struct code code;

	start();
	CHECK_INT(pcap_classic(text, PCAP_LINK_ETHER, &prog, &err), 0);
	compile(text, PATCH_PCAP_ETHER, &code);
	load(text, &code, NULL);
	for (int i = 0; i < nr_packets; i++)
		for (unsigned n = 0; n <= packets[i].len; n++)
			compare_on(text, program("ether"), &prog, packets[i].bytes, packets[i].len,
				   n);
	CHECK(matched > 100 && left_out > 100);
	bpf_object__close(obj);
	code_free(&code);
	pcap_classic_free(&prog);
}

static const char *any_filter(void)
{
	return filters[lrand48() % NR_FILTERS];
}

static void agrees_on_combinations(void)
{
	int n = getenv("BPFNET_RANDOM") ? 10 : COMBINED;
	struct pcap_program prog;
	char text[1024];

	start();
	while (n > 0) {
		const char *joint = lrand48() % 2 ? "and" : "or", *no = lrand48() % 2 ? "not" : "";

		snprintf(text, sizeof(text), "(%s) %s %s (%s) or (%s)", any_filter(), joint, no,
			 any_filter(), any_filter());
		if (pcap_classic(text, PCAP_LINK_ETHER, &prog, &err))
			continue; /* as after "vlan", which moves all that follows */
		pcap_classic_free(&prog);
		check_filter(text);
		n--;
	}
}

static void says_what_is_wrong(void)
{
	static const struct {
		const char *text, *msg, *hint;
	} cases[] = {
		{ "tcp prot 443", "pcap: \"tcp prot 443\": syntax error", "" },
		{ "tcp and udp", "pcap: \"tcp and udp\": no packet can match this", "" },
		{ "port\n70000", "pcap: \"port 70000\": illegal port number 70000 > 65535", "" },
		{ "host no.example", "pcap: \"host no.example\": unknown host 'no.example'",
		  "names of hosts are not looked up; give the address" },
		{ "net nowhere", "pcap: \"net nowhere\": unknown network 'nowhere'", "" },
		{ "tcp port nosuch", "pcap: \"tcp port nosuch\": unknown port 'nosuch'", "" },
		{ "inbound",
		  "pcap: \"inbound\": a filter sees the bytes and the length of a packet, not its "
		  "direction or device",
		  "" },
		{ "ip6 protochain 6",
		  "pcap: \"ip6 protochain 6\": a loop over headers (protochain) is not supported",
		  "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (int which = PATCH_PCAP_ETHER; which <= PATCH_PCAP_IP; which++) {
			struct code code;

			code_init(&code);
			CHECK_INT(pcap_code(cases[i].text, (enum patch_mark)which, &code, &err),
				  -EINVAL);
			code_free(&code);
			CHECK_STR(err.msg, cases[i].msg);
			CHECK_STR(err.hint, cases[i].hint);
		}
	}
}

static void refuses_what_is_too_long(void)
{
	char *text = malloc(PCAP_MAX_TEXT + 2);
	struct code code;

	code_init(&code);
	memset(text, ' ', PCAP_MAX_TEXT + 1);
	text[PCAP_MAX_TEXT + 1] = '\0';
	CHECK_INT(pcap_code(text, PATCH_PCAP_ETHER, &code, &err), -E2BIG);
	CHECK_STR(err.msg, "pcap: the filter has 2049 bytes, at most 2048 are allowed");
	memset(text, '(', PCAP_MAX_TEXT);
	text[PCAP_MAX_TEXT] = '\0';
	CHECK_INT(pcap_code(text, PATCH_PCAP_ETHER, &code, &err), -EINVAL);
	CHECK(strlen(err.msg) < 200);
	text[0] = '\0';
	for (int i = 1; strlen(text) < PCAP_MAX_TEXT - 20; i++)
		sprintf(text + strlen(text), "%sport %d", i > 1 ? " or " : "", i);
	CHECK_INT(pcap_code(text, PATCH_PCAP_ETHER, &code, &err), -E2BIG);
	CHECK_HAS(err.msg, "pcap: \"port 1 or port 2 or ");
	CHECK_HAS(err.msg, "...\": takes ");
	CHECK_HAS(err.msg, " instructions, at most 8000 are allowed");
	free(text);
	code_free(&code);
}

/* As many hosts as there is room for. */
static void takes_a_long_list(void)
{
	char text[PCAP_MAX_TEXT] = "host 192.0.2.1";
	struct pcap_program prog;
	struct code code;

	start();
	for (int i = 0; strlen(text) < PCAP_MAX_TEXT - 40; i++)
		sprintf(text + strlen(text), " or host 10.9.%d.%d", i / 200, i % 200);
	strcat(text, " or port 53");
	compile(text, PATCH_PCAP_ETHER, &code);
	load("a list of hosts", &code, NULL);
	CHECK_INT(pcap_classic(text, PCAP_LINK_ETHER, &prog, &err), 0);
	compare("a list of hosts", program("ether"), &prog, 0);
	pcap_classic_free(&prog);
	CHECK(matched > 5 && left_out > 5);
	bpf_object__close(obj);
	code_free(&code);
}

static const struct t_case cases[] = {
	{ "a filter agrees with libpcap's interpreter", agrees_with_libpcap },
	{ "a filter agrees on every cut of a packet", agrees_on_every_cut },
	{ "filters put together agree as well", agrees_on_combinations },
	{ "a filter that is wrong is told with its text", says_what_is_wrong },
	{ "a filter that is too long is refused", refuses_what_is_too_long },
	{ "a list of 80 hosts is taken", takes_a_long_list },
};

T_MAIN(cases)
