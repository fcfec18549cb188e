/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <netdb.h>
#include <nss.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include "pcap_classic.h"
#include "util.h"

#define SHOWN   60 /* bytes of the text in a message */
#define CAPTURE 262144 /* what libpcap lets a filter return for a packet that matches */

#define HIDDEN __attribute__((visibility("hidden")))

/*
 * libpcap in one archive can also capture from D-Bus, and wants libdbus for that. With these two it
 * does not; nobody here captures.
 */
pcap_t *dbus_create(const char *device, char *errors, int *is_ours) HIDDEN;
int dbus_findalldevs(void *devices, char *errors) HIDDEN;

pcap_t *dbus_create(const char *device, char *errors, int *is_ours)
{
	(void)device;
	(void)errors;
	*is_ours = 0;
	return NULL;
}

int dbus_findalldevs(void *devices, char *errors)
{
	(void)devices;
	(void)errors;
	return 0;
}

/* Everything is linked with --wrap=getaddrinfo, for this: libpcap must not ask a name server. */
int __real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		       struct addrinfo **list);
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		       struct addrinfo **list) HIDDEN;

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		       struct addrinfo **list)
{
	struct addrinfo numeric = *hints;

	if (node)
		numeric.ai_flags |= AI_NUMERICHOST;
	return __real_getaddrinfo(node, service, &numeric, list);
}

/* Nor may the C library, which a statically linked program can't load modules for. */
static void use_files_only(void)
{
	__nss_configure_lookup("services", "files");
	__nss_configure_lookup("protocols", "files");
	__nss_configure_lookup("networks", "files");
}

int pcap_error(const char *text, struct err *err, int code, const char *message)
{
	bool whole = strlen(text) <= SHOWN;

	err_set(err, code, "pcap: \"%.*s%s\": %s", SHOWN, text, whole ? "" : "...", message);
	for (char *p = err->msg; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	return code;
}

static int refused(const char *text, const char *reason, struct err *err)
{
	const char *parse = "can't parse filter expression: ";

	if (str_starts(reason, parse))
		reason += strlen(parse);
	if (str_eq(reason, "expression rejects all packets"))
		reason = "no packet can match this";
	pcap_error(text, err, -EINVAL, reason);
	if (str_starts(reason, "unknown host"))
		err_hint(err, "names of hosts are not looked up; give the address");
	return -EINVAL;
}

static int compile(pcap_t *pcap, const char *text, bool optimize, struct bpf_program *prog,
		   struct err *err)
{
	if (pcap_compile(pcap, prog, text, optimize, PCAP_NETMASK_UNKNOWN))
		return refused(text, pcap_geterr(pcap), err);
	return 0;
}

/* The optimizer's time grows with the third power, so what it gets is looked at first. */
static int check_length(pcap_t *pcap, const char *text, struct err *err)
{
	struct bpf_program prog;
	char message[80];
	int rc = compile(pcap, text, false, &prog, err);

	if (rc)
		return rc;
	if (prog.bf_len > PCAP_MAX_CODE) {
		snprintf(message, sizeof(message), "takes %u instructions, at most %d are allowed",
			 prog.bf_len, PCAP_MAX_CODE);
		rc = pcap_error(text, err, -E2BIG, message);
	}
	pcap_freecode(&prog);
	return rc;
}

static int copy(const struct bpf_program *from, struct pcap_program *to, struct err *err)
{
	to->insns = calloc(from->bf_len, sizeof(*to->insns));
	if (!to->insns)
		return err_set(err, -ENOMEM, "out of memory");
	to->n = (int)from->bf_len;
	for (int i = 0; i < to->n; i++) {
		const struct bpf_insn *insn = &from->bf_insns[i];

		to->insns[i] = (struct pcap_insn){ insn->code, insn->jt, insn->jf, insn->k };
	}
	return 0;
}

int pcap_classic(const char *text, enum pcap_link link, struct pcap_program *prog, struct err *err)
{
	struct bpf_program compiled;
	pcap_t *pcap;
	int rc;

	memset(prog, 0, sizeof(*prog));
	if (strlen(text) > PCAP_MAX_TEXT)
		return err_set(err, -E2BIG,
			       "pcap: the filter has %zu bytes, at most %d are allowed",
			       strlen(text), PCAP_MAX_TEXT);
	use_files_only();
	pcap = pcap_open_dead(link == PCAP_LINK_ETHER ? DLT_EN10MB : DLT_RAW, CAPTURE);
	if (!pcap)
		return err_set(err, -ENOMEM, "out of memory");
	rc = check_length(pcap, text, err);
	if (!rc)
		rc = compile(pcap, text, true, &compiled, err);
	if (!rc) {
		rc = copy(&compiled, prog, err);
		pcap_freecode(&compiled);
	}
	pcap_close(pcap);
	return rc;
}

void pcap_classic_free(struct pcap_program *prog)
{
	free(prog->insns);
	memset(prog, 0, sizeof(*prog));
}
