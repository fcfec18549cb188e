/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Known-bad kernels: what versions real kernels say they are, and which rows they are in. */
#include "redirect_kernels.h"
#include "t.h"
#include "util.h"

#define TEXT 256
#define SMP  "#1 SMP PREEMPT_DYNAMIC @0"

static void check_version(const char *release, const char *version, int major, int minor, int patch)
{
	struct kernel_version v;

	CHECK(redirect_kernel_version(release, version, &v));
	CHECK_INT(v.major, major);
	CHECK_INT(v.minor, minor);
	CHECK_INT(v.patch, patch);
}

static void upstream(void)
{
	check_version("6.18.44-fc-v657", SMP, 6, 18, 44);
	check_version("6.12.62", SMP, 6, 12, 62);
	check_version("6.13.0", SMP, 6, 13, 0);
	check_version("7.2.0-rc5", SMP, 7, 2, -1);
	check_version("6.12.79-101.147.amzn2023.aarch64", SMP, 6, 12, 79);
	check_version("6.12.85+", "#1 SMP Sat Jul 18 09:31:07 UTC 2026", 6, 12, 85);
	check_version("6.11.4-301.fc41.x86_64", SMP, 6, 11, 4);
	check_version("5.15.153.1-microsoft-standard-WSL2", SMP, 5, 15, 153);
}

/* The four of tests/vm, and a release candidate. */
static void debian(void)
{
	check_version("5.10.0-32-cloud-amd64", "#1 SMP Debian 5.10.223-1 (2024-08-10)", 5, 10, 223);
	check_version("6.1.0-56-cloud-amd64",
		      "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)", 6, 1, 192);
	check_version("6.12.117+deb12-cloud-amd64",
		      "#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1~deb12u1 (2026-11-14)", 6, 12, 117);
	check_version("7.2.13+deb14-cloud-amd64",
		      "#1 SMP PREEMPT_DYNAMIC Debian 7.2.13-1 (2026-10-28)", 7, 2, 13);
	check_version("6.18-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.18~rc5-1~exp1 (2025-11-10)", 6,
		      18, -1);
}

static void ubuntu(void)
{
	check_version("5.15.0-91-generic", "Ubuntu 5.15.0-91.101-generic 5.15.131", 5, 15, 131);
	check_version("6.8.0-1021-azure", "Ubuntu 6.8.0-1021.25-azure 6.8.12", 6, 8, 12);
}

static void unknown(void)
{
	static const char *const texts[][2] = {
		{ "5.14.0-427.13.1.el9_4.x86_64", "#1 SMP PREEMPT_DYNAMIC Wed Apr 10 10:29:16" },
		{ "4.18.0-553.el8_10.x86_64", "#1 SMP Fri May 10 15:19:13 EDT 2024" },
		{ "6.4.0-150600.23.25-default", "#1 SMP PREEMPT_DYNAMIC Tue Oct 1 10:54:01" },
		{ "5.15.0-91-generic", "#101-Ubuntu SMP Tue Nov 14 13:30:08 UTC 2023" },
		{ "6.1.0-21-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 5.10.216-1 (2024-05-03)" },
		{ "6.1.0-21-amd64", "#1 SMP PREEMPT_DYNAMIC Debian GNU" },
		{ "5.15.0-91-generic", "Ubuntu " },
		{ "", "" },
		{ "6", SMP },
		{ "6.", SMP },
		{ "6.x.1", SMP },
		{ "6.12.", SMP },
		{ "6.12a", SMP },
		{ "-6.12.1", SMP },
		{ " 6.12.1", SMP },
		{ "6.12.99999", SMP },
		{ "99999999999999999999.1.1", SMP },
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct kernel_version v;

		if (redirect_kernel_version(texts[i][0], texts[i][1], &v))
			FAIL("\"%s\" with \"%s\" was taken for %d.%d.%d", texts[i][0], texts[i][1],
			     v.major, v.minor, v.patch);
		CHECK(!redirect_kernel_known_bad(texts[i][0], texts[i][1]));
	}
}

/* The sources of all rows that a version is in, one after the other. */
static const char *rows_of(const char *release)
{
	static char text[TEXT];
	const struct redirect_kernel *row = NULL;
	struct kernel_version v;
	size_t used = 0;

	text[0] = '\0';
	CHECK(redirect_kernel_version(release, SMP, &v));
	while ((row = redirect_kernel_next(&v, row)))
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%.22s;", row->source);
	return text;
}

#define NETNS    "bpf: Allow bpf_get_net;"
#define LAST_SG  "skmsg: Fix wrong last ;"
#define CLOSE    "CVE-2024-39500;"
#define INQ      "bpf, sockmap: Fix FION;" /* of what was redirected */
#define FIONREAD "bpf, sockmap: Account ;" /* of what came by TCP */

static void matrix(void)
{
	static const char *const rows[][2] = {
		{ "4.14.300", NETNS },
		{ "4.18.0", NETNS INQ },
		{ "5.10.223", NETNS INQ },
		{ "5.14.21", NETNS CLOSE INQ },
		{ "5.15.0-rc7", NETNS CLOSE INQ },
		{ "5.15.65", LAST_SG CLOSE INQ },
		{ "5.15.66", CLOSE INQ },
		{ "5.15.161", CLOSE INQ },
		{ "5.15.162", INQ },
		{ "5.15.176", INQ },
		{ "5.18.19", LAST_SG CLOSE INQ },
		{ "6.0.19", CLOSE INQ },
		{ "6.1.94", CLOSE INQ },
		{ "6.1.122", INQ },
		{ "6.1.123", INQ },
		{ "6.1.192", INQ },
		{ "6.6.127", INQ },
		{ "6.6.128", FIONREAD },
		{ "6.9.5", CLOSE INQ },
		{ "6.10.14", INQ },
		{ "6.12.7", INQ },
		{ "6.12.8", INQ },
		{ "6.12.74", INQ },
		{ "6.12.75", FIONREAD },
		{ "6.12.79", FIONREAD },
		{ "6.12.113", FIONREAD },
		{ "6.12.114", "" },
		{ "6.13.0", INQ },
		{ "6.17.13", INQ },
		{ "6.18.13", INQ },
		{ "6.18.44", FIONREAD },
		{ "6.19.3", INQ },
		{ "7.1.12", FIONREAD },
		{ "7.2.0-rc3", FIONREAD },
		{ "7.2.0", "" },
		{ "7.2.13", "" },
		{ "8.0.0", "" },
		{ "10.1.0", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!str_eq(rows_of(rows[i][0]), rows[i][1]))
			FAIL("%s is in \"%s\", expected \"%s\"", rows[i][0], rows_of(rows[i][0]),
			     rows[i][1]);
	}
}

static void refusal(void)
{
	const struct redirect_kernel *row;

	row = redirect_kernel_known_bad("6.1.0-21-amd64",
					"#1 SMP PREEMPT_DYNAMIC Debian 6.1.90-1 (2024-05-03)");
	CHECK(row);
	CHECK_STR(row->source, "CVE-2024-39500");
	row = redirect_kernel_known_bad("5.15.0-91-generic",
					"Ubuntu 5.15.0-91.101-generic 5.15.131");
	CHECK(row);
	CHECK_STR(row->source, "CVE-2024-39500");
	row = redirect_kernel_known_bad("6.1.0-56-cloud-amd64",
					"#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)");
	CHECK(row);
	CHECK_STR(row->source, "bpf, sockmap: Fix FIONREAD for sockmap");
	CHECK(!redirect_kernel_known_bad("6.18.44-fc-v657", SMP));
}

static void fixed_in(void)
{
	static const struct {
		struct kernel_version v;
		const char *fixed;
	} rows[] = {
		{ { 6, 1, 90 }, "6.1.95" },
		{ { 6, 8, 12 }, "6.10" },
		{ { 6, 10, -1 }, "6.10" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct redirect_kernel *row = redirect_kernel_next(&rows[i].v, NULL);
		char text[TEXT];

		CHECK(row);
		CHECK_STR(row->source, "CVE-2024-39500");
		redirect_kernel_fixed_in(row, &rows[i].v, text, sizeof(text));
		CHECK_STR(text, rows[i].fixed);
	}
}

/* Each is a version, and higher than the one before it. */
static void check_list(const char *list)
{
	int before[3] = { -1, 0, 0 }, v[3], n;

	CHECK(*list);
	while (*list) {
		v[2] = 0;
		CHECK(sscanf(list, "%d.%d%n", &v[0], &v[1], &n) == 2);
		list += n;
		if (*list == '.') {
			CHECK(sscanf(list, ".%d%n", &v[2], &n) == 1);
			list += n;
		}
		CHECK(v[0] > before[0] || (v[0] == before[0] && v[1] > before[1]));
		memcpy(before, v, sizeof(v));
		CHECK(!*list || (*list == ' ' && list[1]));
		list += *list == ' ';
	}
	CHECK_INT(v[2], 0); /* mainline's, at the end */
}

static void data(void)
{
	int n = 0;

	for (const struct redirect_kernel *row = redirect_kernels; row->since; row++, n++) {
		check_list(row->since);
		check_list(row->fixed);
		CHECK(*row->source);
		CHECK(*row->what && row->what[strlen(row->what) - 1] != '.');
	}
	CHECK_INT(n, 5);
}

static void here(void)
{
	char release[TEXT], version[TEXT];
	struct kernel_version v;

	CHECK_INT(redirect_kernel_here(release, version, sizeof(release)), 0);
	CHECK(*release && *version && !strchr(version, '\n'));
	if (!redirect_kernel_version(release, version, &v))
		SKIP("the upstream version of %s can't be told", release);
	CHECK(v.major >= 5);
}

static const struct t_case cases[] = {
	{ "upstream versions are read from the release", upstream },
	{ "Debian's are read from the version", debian },
	{ "Ubuntu's are read from the signature", ubuntu },
	{ "what hides its version or is none is not judged", unknown },
	{ "every version is in the rows that it should be in", matrix },
	{ "the worst row refuses, and a warning does not", refusal },
	{ "the version to go to is the branch's, else mainline's", fixed_in },
	{ "the data are well-formed", data },
	{ "the kernel that runs says what it is", here },
};

T_MAIN(cases)
