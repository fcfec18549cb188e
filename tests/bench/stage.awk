# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The tables of tests/bench/stage: medians [least-most] of "NAME call_ns VALUE" lines, and ratios.

# One row: the call with it, what it adds, and both as parts of another's.
function row(name, title, other,    m, base) {
	base = median_of("none")
	m = median_of(name)
	if (!m)
		return
	printf "| %s | %.0f [%.0f-%.0f] | %.0f", title, m, lo, hi, m - base
	if (other && median_of(other))
		printf " | %.2f | %.2f |\n", m / median_of(other), (m - base) / (median_of(other) - base)
	else
		print " | | |"
}

$2 == "call_ns" { values[$1, ++n[$1]] = $3 }

END {
	print "\n| a filter that rejects every event | the call, ns | added, ns | the call, to C | added, to C |"
	print "|---|---|---|---|---|"
	row("none", "no tracer")
	row("empty", "a program that returns before it makes an event")
	split("one three eight", terms, " ")
	split("1 3 8", numbers, " ")
	for (i = 1; i <= 3; i++) {
		row("c-" terms[i], numbers[i] " term" (i > 1 ? "s" : "") ", written in C")
		row("where-" terms[i], numbers[i] " term" (i > 1 ? "s" : "") ", where", "c-" terms[i])
	}
	print "\n| added up by three keys | the call, ns | added, ns | the call, to bpftrace | added, to bpftrace |"
	print "|---|---|---|---|---|"
	row("agg-count", "bpfnet, count", "bt-count")
	row("bt-count", "bpftrace, count")
	row("agg-all", "bpfnet, count, sum, histogram", "bt-all")
	row("bt-all", "bpftrace, count, sum, histogram")
}
