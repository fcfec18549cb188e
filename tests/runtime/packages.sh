#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# packages.sh - Debian's packages, unpacked and not installed; read by those that need some
#
# Who reads it sets $root, the directory for what is unpacked, and $packages, the names that it knows.

fail() { # status message
	echo "${0##*/}: $2" >&2
	exit "$1"
}

installed() { # package
	[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = "ii " ]
}

missing() { # package...: which of these are neither installed nor unpacked: one line, or nothing
	local name all=()
	for name; do
		[[ " ${packages[*]} " == *" $name "* ]] ||
			fail 2 "no package '$name' (there are: ${packages[*]})"
		installed "$name" || [ -e "$root/unpacked/$name" ] || all+=("$name")
	done
	[ ${#all[@]} -eq 0 ] || echo "${all[*]}"
}

# What they depend on and is not installed either comes with them. Those of the C library and of logins
# stay out: what is unpacked must go with the ones that run here.
fetch() { # package...
	local names deb
	names=$(missing "$@") || exit
	[ -n "$names" ] || return 0
	echo "  FETCH    $names"
	mkdir -p "$root/unpacked" "$root/debs/partial" || exit 1
	# shellcheck disable=SC2086
	apt-get update -qq && apt-get install -y -qq --no-install-recommends --download-only \
		-o APT::Sandbox::User=root -o Dir::Cache::archives="$root/debs" $names >/dev/null ||
		fail 1 "could not fetch: $names"
	for deb in "$root"/debs/*.deb; do
		case ${deb##*/} in
		libc6_* | libc-bin_* | libc-l10n_* | locales_* | login_* | passwd_*) ;;
		*) dpkg-deb -x "$deb" "$root" || fail 1 "could not unpack $deb" ;;
		esac
	done
	rm -r "$root/debs"
	for deb in $names; do
		: >"$root/unpacked/$deb"
	done
}
