#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# programs.sh COMMAND - programs that everybody uses, with servers and clients in namespaces of their own
#
#   fetch            downloads the packages that are not installed and unpacks them, without installing
#                    them: no service starts, no user appears, nothing but .output/programs changes
#   missing NAME...  which of these packages are neither installed nor unpacked: one line, or nothing
#   up CGROUP        starts the servers in this cgroup (a directory) and prints "ready"; then does each work
#                    that a line of its standard input names ("NAME FILE", see programs_work.sh): starts it
#                    at once and writes its results to FILE. At the end of its input all is ended.
#
# Servers, files and clients share a network namespace (so that ports are free), a process namespace
# (so that all end together) and a mount namespace with a /run and a /etc/passwd of its own.
#
# Exit status: 0; 1 after a failure; 2 when called the wrong way.
set -u

here=$(dirname "$(realpath "$0")")
root=$(realpath -m "$here/../../.output/programs")
packages=(curl haproxy iperf3 memcached nginx-light openssh-client openssh-server openssl
	postgresql-15 python3 redis-server redis-tools wrk)

fail() { # status message
	echo "programs.sh: $2" >&2
	exit "$1"
}

installed() { # package
	[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = "ii " ]
}

missing() { # package...
	local name all=()
	for name; do
		[[ " ${packages[*]} " == *" $name "* ]] ||
			fail 2 "no package '$name' (there are: ${packages[*]})"
		installed "$name" || [ -e "$root/unpacked/$name" ] || all+=("$name")
	done
	[ ${#all[@]} -eq 0 ] || echo "${all[*]}"
}

# What they depend on and is not installed either comes with them. Those of the C library stay out: what
# is unpacked must go with the one that runs here.
fetch() {
	local names deb
	names=$(missing "${packages[@]}") || exit
	[ -n "$names" ] || return 0
	echo "  FETCH    $names"
	mkdir -p "$root/unpacked" "$root/debs/partial" || exit 1
	# shellcheck disable=SC2086
	apt-get update -qq && apt-get install -y -qq --no-install-recommends --download-only \
		-o APT::Sandbox::User=root -o Dir::Cache::archives="$root/debs" $names >/dev/null ||
		fail 1 "could not fetch: $names"
	for deb in "$root"/debs/*.deb; do
		case ${deb##*/} in
		libc6_* | libc-bin_* | libc-l10n_* | locales_*) ;;
		*) dpkg-deb -x "$deb" "$root" || fail 1 "could not unpack $deb" ;;
		esac
	done
	rm -r "$root/debs"
	for deb in $names; do
		: >"$root/unpacked/$deb"
	done
}

up() { # cgroup
	[ -w "$1/cgroup.procs" ] || fail 1 "'$1' is not a cgroup's directory"
	echo $$ >"$1/cgroup.procs"
	exec unshare --mount --net --ipc --pid --fork --kill-child bash "$here/programs_serve.sh" "$root"
}

command=${1-}
[ $# -eq 0 ] || shift
case $command:$# in
fetch:0 | missing:[1-9]* | up:1) "$command" "$@" ;;
*) fail 2 "usage: programs.sh fetch | missing NAME... | up CGROUP" ;;
esac
