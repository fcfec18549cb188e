#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# run.sh [SECONDS] - builds the fuzzers and lets each look for crashes, from nothing, for 5 s.
set -eu

seconds=${1:-5}
cd "$(dirname "$0")/../.."
out=.output/fuzz
clang=${CLANG:-clang}
mkdir -p "$out"
if ! echo 'int LLVMFuzzerTestOneInput(const char *p, long n) { return !p && n; }' |
	"$clang" -x c -fsanitize=fuzzer,address -o "$out/try" - 2>/dev/null; then
	echo "fuzz: skipped, $clang has no libFuzzer (Debian: libclang-rt-dev)"
	exit 0
fi

# fuzz NAME MAX_LEN UNIT... - tests/fuzz/NAME.c with units of the engine; words that an input may
# hold are in NAME.dict, if there is one
fuzz() {
	name=$1 max=$2
	shift 2
	units=
	for unit; do
		units="$units engine/$unit.c"
	done
	dict=
	[ ! -f "tests/fuzz/$name.dict" ] || dict=-dict=tests/fuzz/$name.dict
	# shellcheck disable=SC2086 # lists of words
	"$clang" -std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=undefined -Iengine -Itests/unit -o "$out/$name" \
		"tests/fuzz/$name.c" $units -Wl,--wrap=getaddrinfo -Wl,-Bstatic -lpcap -lbpf -lelf -lz -Wl,-Bdynamic
	if ! "$out/$name" -max_total_time="$seconds" -max_len="$max" -timeout=5 -verbosity=0 \
		-print_funcs=0 -print_final_stats=1 -artifact_prefix="$out/" $dict >"$out/log" 2>&1; then
		cat "$out/log"
		echo "$name: failed; the input is in $out/"
		exit 1
	fi
	echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$out/log") inputs, no crash"
}

record="record record_kind record_name record_set record_value reasons ksyms ksyms_lines kbtf kbtf_subset patch caps code log stdio_safe err util"
# shellcheck disable=SC2086 # a list of words
fuzz fuzz_record 600 filter filter_packet filter_pod filter_maps globals netdev $record
# shellcheck disable=SC2086
fuzz fuzz_expr 600 expr expr_lex expr_parse expr_check expr_compare expr_arith expr_list \
	expr_eval expr_branch expr_code expr_code_mem $record
fuzz fuzz_pcap 200 pcap_classic pcap_code pcap_read code err util
