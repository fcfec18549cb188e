#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# run.sh [SECONDS] - builds the fuzzer and lets it look for crashes, from nothing, for 5 s.
set -eu

seconds=${1:-5}
cd "$(dirname "$0")/../.."
out=.output/fuzz
clang=${CLANG:-clang}
mkdir -p "$out"
if ! echo 'int LLVMFuzzerTestOneInput(const char *p, long n) { return !p && n; }' |
	"$clang" -x c -fsanitize=fuzzer,address -o "$out/try" - 2>/dev/null; then
	echo "fuzz_record: skipped, $clang has no libFuzzer (Debian: libclang-rt-dev)"
	exit 0
fi
"$clang" -std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=undefined -Iengine -Itests/unit -o "$out/fuzz_record" \
	tests/fuzz/fuzz_record.c engine/record.c engine/record_value.c engine/filter.c engine/err.c \
	engine/util.c -Wl,-Bstatic -lbpf -lelf -lz -Wl,-Bdynamic
if ! "$out/fuzz_record" -max_total_time="$seconds" -max_len=600 -timeout=5 -verbosity=0 -print_funcs=0 \
	-print_final_stats=1 -artifact_prefix="$out/" >"$out/log" 2>&1; then
	cat "$out/log"
	echo "fuzz_record: failed; the input is in $out/"
	exit 1
fi
echo "fuzz_record: $(sed -n 's/^stat::number_of_executed_units: *//p' "$out/log") inputs, no crash"
