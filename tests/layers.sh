#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# layers.sh - the laws of the source tree that no compiler checks: who may include what, what stands
# in every file, how long files may be. Prints what breaks them. After a build it also checks that
# the BPF objects were made without kernel headers.
set -u

cd "$(dirname "$0")/.." || exit 1
bad=$(mktemp)
trap 'rm -f "$bad"' EXIT

complain() { # why: takes the list of offenders from standard input
	while read -r line; do
		echo "$line: $1" >>"$bad"
	done
}

includes() { # regex: files of engine/ with such an include
	grep -lE "^#[[:space:]]*include[[:space:]]+$1" engine/*.c engine/*.h
}

not_units() { # extended regex of the units that may
	grep -vE "^engine/($1)\.[ch]$"
}

includes '<(lua|lauxlib|lualib)\.h>' |
	not_units 'script|script_.*|luax|lua_.*|modules|cmd_.*' |
	complain 'includes Lua, which only script, luax, lua_*, modules and cmd_* may'
includes '<bpf/' |
	not_units 'log|record|record_.*|ring|object|ways|points|points_.*|attach|hook|probe|probe_.*|socks|kmap|filter|filter_.*|globals|kbtf|kbtf_.*|patch|caps|agg_maps|agg_maps_.*|stage|stage_.*|stacks|redirect|redirect_.*|doctor_try' |
	complain 'includes libbpf, which is for the units below probe only'
includes '<pcap' |
	not_units 'pcap_classic' |
	complain 'includes libpcap, which only pcap_classic may'
includes '<curl/' |
	not_units 'http|http_.*' |
	complain 'includes libcurl, which only http and http_* may'
includes '<histedit' |
	not_units 'prompt_edit' |
	complain 'includes libedit, which only prompt_edit may'
includes '"(lua.*|luax|script|cmd)\.h"' |
	not_units 'script|script_.*|luax|lua_.*|modules|cmd|cmd_.*|main' |
	complain 'includes a unit of the Lua layer from below it'
includes '"(record|ring|object|ways|probe|tracer|pump|kmap|filter|script|lua.*)\.h"' |
	grep -E '^engine/(loop|err|util|log)\.[ch]$' |
	complain 'is at the bottom and includes a unit above it'

# Every file of ours, tracked or about to be.
files() {
	git ls-files -co --exclude-standard -- "$@" | while read -r f; do
		[ -f "$f" ] && echo "$f"
	done
}

files '*.c' '*.h' '*.lua' '*.sh' '*.mk' Makefile | while read -r f; do
	head -n 2 "$f" | grep -q 'SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only' || echo "$f"
done | complain 'does not start with the SPDX line'

files engine bpf lua scripts | while read -r f; do
	n=$(wc -l <"$f")
	[ "$n" -le 400 ] || echo "$f ($n lines)"
done | complain 'is longer than 400 lines'

files '*.c' '*.h' '*.lua' '*.sh' '*.mk' Makefile | grep -v '^tests/layers.sh$' |
	xargs -r grep -nE '\b(TODO|FIXME|XXX)\b' /dev/null | cut -c 1-120 |
	complain 'left-over note'

files '*.c' '*.h' '*.sh' '*.mk' Makefile | xargs -r grep -nE '[[:space:]]+$' /dev/null |
	cut -d : -f 1,2 | complain 'white space at the end of the line'

for d in .output/*.bpf.d; do
	[ -f "$d" ] || continue
	tr -s ' \\' '\n\n' <"$d" | grep '^/usr/' | grep -v '^/usr/include/bpf/' | sed 's/:$//' |
		sort -u | sed "s|^|$d: |" | complain 'the object needs a header of this system'
done

sort -u "$bad"
[ ! -s "$bad" ]
