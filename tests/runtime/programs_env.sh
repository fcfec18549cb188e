#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# programs_env.sh - what servers and works share; read by both, in the namespaces that programs.sh made

# shellcheck disable=SC2034
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
dir=/run/programs

# Unpacked ones (at /run/root) before installed ones, and nothing of the caller's.
prefixes=(/run/root/usr /usr)
PATH=$(printf '%s:' "${prefixes[@]/%//lib/postgresql/15/bin}" "${prefixes[@]/%//sbin}" \
	"${prefixes[@]/%//bin}")/sbin:/bin
unset LD_LIBRARY_PATH http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
machine=$(uname -m)-linux-gnu
LD_LIBRARY_PATH=/run/root/usr/lib/$machine:/run/root/lib/$machine
export PATH LD_LIBRARY_PATH LC_ALL=C TZ=GMT0 HOME=$dir/home
cd /

as_postgres() { # command...: postgres refuses to be root
	setpriv --reuid=70 --regid=65534 --clear-groups "$@"
}
