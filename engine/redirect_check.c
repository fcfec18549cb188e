/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include "caps.h"
#include "redirect_kernels.h"
#include "redirect_priv.h"

static int check_rights(struct err *err)
{
	const char *missing = caps_missing();

	if (!*missing && caps_net_admin())
		return 0;
	err_set(err, -EPERM, "redirect: not permitted: lacks %s%s%s", missing,
		*missing && !caps_net_admin() ? ", " : "", caps_net_admin() ? "" : "CAP_NET_ADMIN");
	err_hint(err, "run as root, or: setcap cap_bpf,cap_perfmon,cap_net_admin,cap_sys_ptrace+ep "
		      "bpfnet");
	return -EPERM;
}

static int check_kernel(struct err *err)
{
	const struct redirect_kernel *bad;
	char release[256], version[256], fixed[64];
	struct kernel_version v;

	if (redirect_kernel_here(release, version, sizeof(release)))
		return 0;
	bad = redirect_kernel_known_bad(release, version);
	if (!bad || !redirect_kernel_version(release, version, &v))
		return 0;
	redirect_kernel_fixed_in(bad, &v, fixed, sizeof(fixed));
	err_set(err, -ENOTSUP, "redirect: kernel %d.%d.%d is not fit for it: %s", v.major, v.minor,
		v.patch, bad->what);
	err_hint(err, "%s has the fix (%s)", fixed, bad->source);
	return -ENOTSUP;
}

int redirect_check(bool any_kernel, struct err *err)
{
	int rc = check_rights(err);

	if (!rc)
		rc = caps_check(err);
	return rc || any_kernel ? rc : check_kernel(err);
}
