# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The table of tests/bench/events: medians [least-most] of "TOOL RATE KEY VALUE" lines, and ratios
# to the row that is told about: bpfnet's handler with three keys.

function add(tool, rate, key, value,    k) {
	k = tool SUBSEP rate SUBSEP key
	values[k, ++n[k]] = value
}

function median(tool, rate, key) {
	return median_of(tool SUBSEP rate SUBSEP key)
}

function cell(tool, rate, key, format,    m) {
	m = median(tool, rate, key)
	if (m == "")
		return "-"
	if (n[tool, rate, key] == 1)
		return sprintf(format, m)
	return sprintf(format " [" format "-" format "]", m, lo, hi)
}

# How many times the row's figure is ours
function ratio(tool, rate, key,    ours, m) {
	ours = median("tables", rate, key)
	m = median(tool, rate, key)
	return ours > 0 && m != "" ? sprintf("%.3g", m / ours) : "-"
}

function finish(    cpu, ticks) {
	if (!("seen" in now))
		return
	add(last, rate_of, "rate", now["calls"] / now["seconds"] / 1e6)
	add(last, rate_of, "lost", 100 * (now["calls"] - now["seen"]) / now["calls"])
	if (now["seen"] + 0) {
		cpu = now["cpu_ns"] / now["seen"] / 1e3
		ticks = now["user_ticks"] + now["sys_ticks"]
		add(last, rate_of, "cpu", cpu)
		add(last, rate_of, "user", ticks ? cpu * now["user_ticks"] / ticks : cpu)
	}
	add(last, rate_of, "added", now["call_ns"] - base[rate_of])
	delete now
}

{
	if (!($2 in known)) {
		known[$2] = 1
		rates[++nr_rates] = $2
	}
	if ($1 == "alone") {
		for (i = 3; i < NF; i += 2)
			add("alone", 0, $i, $(i + 1))
		next
	}
	if ($1 == "none") {
		add($1, $2, $3, $4)
		base[$2] = $4 # of the same round
		next
	}
	if (!(($1, $2) in seen_tool)) {
		seen_tool[$1, $2] = 1
		order[$2, ++count[$2]] = $1
	}
	now[$3] = $4
	last = $1
	rate_of = $2
	if ($3 == "seen")
		finish()
}

END {
	title["c"] = "libbpf, C, adds one number"
	title["add"] = "bpfnet, arguments, adds one number"
	title["sum"] = "bpfnet, arguments, sum by three keys"
	title["tables"] = "bpfnet, arguments, count and sum by three keys"
	title["agg"] = "bpfnet, arguments, the same by agg:add()"
	title["adder"] = "bpfnet, arguments, the same by agg:adder()"
	title["event"] = "bpfnet, a table per event, adds one number"
	title["json"] = "bpfnet, ev:json() of each event"
	title["bt-count"] = "bpftrace count()"
	title["bt-printf"] = "bpftrace printf, four fields"
	title["bcc-perf"] = "BCC Python, perf buffer"
	title["bcc-ring"] = "BCC Python, ring buffer"
	printf "\nthe handlers alone, called by Lua, us: one number %s, sum by three keys %s, count and sum %s\n",
		cell("alone", 0, "add", "%.3f"), cell("alone", 0, "sum", "%.3f"),
		cell("alone", 0, "tables", "%.3f")
	for (r = 1; r <= nr_rates; r++) {
		rate = rates[r]
		printf "\n%s; the call itself %s ns\n\n", rate ? rate " calls/s" : "as fast as possible",
			cell("none", rate, "call_ns", "%.0f")
		print "| tool | ns added to the call | to ours | CPU of the tracer, us per event | of it user | to ours | million events/s | lost, % |"
		print "|---|---|---|---|---|---|---|---|"
		for (i = 1; i <= count[rate]; i++) {
			t = order[rate, i]
			printf "| %s | %s | %s | %s | %s | %s | %s | %s |\n", title[t],
				cell(t, rate, "added", "%.0f"), ratio(t, rate, "added"),
				cell(t, rate, "cpu", "%.3f"), cell(t, rate, "user", "%.3f"),
				ratio(t, rate, "cpu"), cell(t, rate, "rate", "%.2f"),
				cell(t, rate, "lost", "%.1f")
		}
	}
}
