#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# embed.sh MODULE.lua... -- SCRIPT.lua...
# Prints C code with the files' bytes (by .incbin) and the tables of engine/modules.h.
set -eu

echo '#include "modules.h"'
n=0
list=modules
row() { # what name path
	n=$((n + 1))
	printf '%s\n' "__asm__(\".section .rodata\\nf$n: .incbin \\\"$3\\\"\\nf${n}_end: .byte 0\\n.previous\");"
	printf '%s\n' "extern const char f$n[] __attribute__((visibility(\"hidden\"))), f${n}_end[] __attribute__((visibility(\"hidden\")));"
	eval "rows_$1=\"\${rows_$1-}	{ \\\"$2\\\", f$n, f${n}_end },
\""
}
for path; do
	if [ "$path" = -- ]; then
		list=scripts
		continue
	fi
	name=$(basename "$path" .lua)
	case $list in
	modules) row modules "bpfnet.$name" "$path" ;; # those of _meta* are read by help()
	scripts) row scripts "$name" "$path" ;;
	esac
done
for list in modules scripts; do
	echo "const struct embedded embedded_$list[] = {"
	eval "printf '%s' \"\${rows_$list-}\""
	echo '	{ 0, 0, 0 }'
	echo '};'
done
