# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The tables of tests/bench/podnet, from "NAME TRAFFIC KEY VALUE" lines: medians [least-most]. A figure
# of a tool and that of the traffic without it, right before, make one difference and one ratio.

function value(key, v) {
	values[key, ++n[key]] = v
}

# The median of a key with its limits, in a unit; "" without values.
function shown(key, unit, format,    m) {
	m = median_of(key)
	if (m == "")
		return ""
	return sprintf(format " [" format "-" format "]", m * unit, lo * unit, hi * unit)
}

function ratio(a, b) {
	return a != "" && b ? sprintf("%.2f", a / b) : ""
}

$2 ~ /-none$/ {
	if ($3 == "seconds")
		none = $4
	next
}
$2 == "begin" { # of bpftrace, whose start is measured in another way
	if ($3 == "exit_ms")
		value($1 " attach exit_ms", $4)
	next
}
$3 == "prog" {
	if ($4 != "sweep") {
		runs[$1] += $5
		run_ns[$1] += $6
	}
	next
}
$3 == "stats_seconds" {
	value($1 " stats", $4 - last[$1])
	next
}
$3 ~ /RssMaps$/ && runs[$1] {
	value($1 " hops", runs[$1] / packets)
	value($1 " run_ns", run_ns[$1] / runs[$1])
	runs[$1] = run_ns[$1] = 0
}
$3 == "seconds" {
	value($1 " " $2 " none", none)
	value($1 " " $2 " time", $4)
	value($1 " " $2 " added", $4 - none)
	value($1 " " $2 " ratio", $4 / none)
	last[$1] = $4
	next
}
{ value($1 " " $2 " " $3, $4) }

# Programs that run for a packet, as the kernel counts them, which the differences are divided by:
# the least, as others' packets on the machine can only add to it.
function hops(name) {
	return median_of(name " hops") ? lo : 0
}

# Ratios are of the kernel's own figure, which others on the machine disturb least.
function own(name) {
	return median_of(name " run_ns")
}

function packet_row(name, title,    h) {
	h = hops(name)
	if (!h)
		return
	printf "| %s | %s | %s | %.1f | %s | %.0f | %s | %s | %.0f | %.0f | %s |\n", title,
		shown(name " udp added", 1e6 / packets, "%.2f"), shown(name " udp ratio", 1, "%.2f"), h,
		shown(name " udp added", 1e9 / packets / h, "%.0f"), median_of(name " run_ns"),
		ratio(own(name), own("bt-count")), ratio(own(name), own("bt-hist")),
		median_of(name " stats") / packets / h * 1e9, median_of(name " udp cpu_ns") / packets,
		median_of(name " udp lost")
}

function flow_row(name, title) {
	if (median_of(name " tcp ratio") == "")
		return
	printf "| %s | %s | %s | %s | %s |\n", title, shown(name " tcp time", 1, "%.2f"),
		shown(name " tcp ratio", 1, "%.2f"), shown(name " icmp time", 2e6 / packets, "%.1f"),
		shown(name " icmp ratio", 1, "%.2f")
}

function attach_row(name, title) {
	if (median_of(name " attach exit_ms") != "")
		printf "| %s | %s | %s |\n", title, shown(name " attach start_ms", 1, "%.0f"),
			shown(name " attach exit_ms", 1, "%.0f")
}

function table(row,    i, k, suffix) {
	for (k = 1; k <= 2; k++) {
		suffix = k == 2 ? "2" : ""
		for (i = 1; i <= forms; i++) {
			if (row == "packet")
				packet_row(form[i] suffix, title[i] (suffix ? ", BPFNET2" : ""))
			else if (row == "flow")
				flow_row(form[i] suffix, title[i] (suffix ? ", BPFNET2" : ""))
			else
				attach_row(form[i] suffix, title[i] (suffix ? ", BPFNET2" : ""))
		}
	}
	if (row == "packet") {
		packet_row("bt-count", "bpftrace, count() by probe")
		packet_row("bt-hist", "bpftrace, hist() of the time since the packet's last probe")
	} else if (row == "flow") {
		flow_row("bt-hist", "bpftrace, hist()")
	} else {
		attach_row("bt-count", "bpftrace, count()")
		attach_row("bt-hist", "bpftrace, hist()")
	}
}

END {
	forms = split("nothing hist span slow paths events", form, " ")
	split("a filter that nothing passes|a histogram of each step, in the kernel|" \
		"a histogram between two points, in the kernel|paths, slower_than that none reaches|" \
		"paths, a handler that counts|every event, a handler that counts", title, "|")
	printf "\nA datagram without a tool: %s us\n", shown("nothing udp none", 1e6 / packets, "%.2f")
	print "\n| | added to a datagram, us | to none | hops | added, ns per hop | the kernel's own figure | to bpftrace's count() | to its hist() | for that figure | CPU of the tool, ns per datagram | lost |"
	print "|---|---|---|---|---|---|---|---|---|---|---|"
	table("packet")
	print "\n| | a stream, s | to none | an echo, us | to none |"
	print "|---|---|---|---|---|"
	table("flow")
	print "\n| | start, ms | exit, ms |"
	print "|---|---|---|"
	table("attach")
}
