#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# run.sh [PART] - builds and runs the unit tests: every program twice, as it is shipped and under
# the sanitizers. With PART only programs that have it in their name ("asan/test_ring").
# Shows what failed or was skipped, a line for each program, and a sum.
set -u

cd "$(dirname "$0")/../.." || exit 1
[ -f .output/skels.o ] && [ -f .output/embedded.o ] || make >/dev/null || exit 1
make --no-print-directory -j"$(nproc)" -f tests/unit/unit.mk || exit 1

# Lua's longjmp leaves frames that the sanitizer believes to be alive.
export ASAN_OPTIONS=detect_stack_use_after_return=0:handle_abort=0
export UBSAN_OPTIONS=print_stacktrace=1
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for program in .output/unit/test_* .output/unit/asan/test_*; do
	name=${program#.output/unit/}
	case $name in
	*.*) continue ;; # .o and .d
	*"${1-}"*) ;;
	*) continue ;;
	esac
	"$program" >"$log" 2>&1
	status=$?
	grep -v '^ok ' "$log" | sed '$d'
	sum=$(tail -n 1 "$log")
	set -- "${1-}" $(echo "$sum" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p')
	if [ $# -ne 4 ]; then
		echo "$sum"
		sum="ended with status $status and no sum"
		set -- "$1" 0 1 0
	fi
	passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
	printf '%-22s %s\n' "$name" "$sum"
done

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
