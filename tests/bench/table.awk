# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The table of `run` from lines "ROUND TOOL KEY VALUE", "ROUND TOOL prog NAME RUNS NS" and "ROUND TOOL
# lines LINES CHURNS". Set n, the connections of one churn, and verbose.

function add(round, tool, key, value)
{
	kept[round, tool, key] = value
	if (!((tool, key) in least) || value < least[tool, key])
		least[tool, key] = value
	if (round > rounds)
		rounds = round
}

# Connections of others on this machine show as more runs than in the best round, or more lines than
# one for each end.
function disturbed(round, tool)
{
	return ((round, tool, "runs") in kept &&
		kept[round, tool, "runs"] > 1.03 * least[tool, "runs"]) ||
	       ((round, tool, "lines") in kept && kept[round, tool, "lines"] > 1.03)
}

# Sorted values into v[1..], without disturbed rounds where that matters; how many they are
function collect(tool, key, v, r, i, c, x)
{
	c = 0
	for (r = 1; r <= rounds; r++) {
		if (!((r, tool, key) in kept) || (key in churned && disturbed(r, tool)))
			continue
		x = kept[r, tool, key]
		for (i = ++c; i > 1 && v[i - 1] > x; i--)
			v[i] = v[i - 1]
		v[i] = x
	}
	return c
}

function median(tool, key, v, c)
{
	c = collect(tool, key, v)
	return c ? (v[int((c + 1) / 2)] + v[int(c / 2) + 1]) / 2 : ""
}

function short(x)
{
	if (x == "" || x == int(x))
		return x == "" ? "-" : sprintf("%d", x)
	return sprintf(x < 10 ? "%.2f" : x < 100 ? "%.1f" : "%.0f", x)
}

function cell(tool, key, v, c)
{
	c = collect(tool, key, v)
	return c ? short(median(tool, key)) " [" short(v[1]) "-" short(v[c]) "]" : "-"
}

function ratio(a, b)
{
	return a == "" || b == "" || b == 0 ? "-" : sprintf(a < b ? "%.3f" : "%.2f", a / b)
}

# A row per tool; the column x compares its median with the reference tool's.
function table(title, tools, reference, columns, t, k, i, j, nt, nc)
{
	printf "\n%s\n%-31s", title, ""
	nt = split(tools, t, " ")
	nc = split(columns, k, " ")
	for (j = 1; j <= nc; j++)
		printf " %20s %6s", heads[k[j]], "x"
	print ""
	for (i = 1; i <= nt; i++) {
		printf "%-31s", label[t[i]]
		for (j = 1; j <= nc; j++)
			printf " %20s %6s", cell(t[i], k[j]),
				ratio(median(t[i], k[j]), median(reference, k[j]))
		print ""
	}
}

function aim(what, value, limit, unit)
{
	if (value != "")
		printf "%-62s %8s %-3s aim %6s: %s\n", what, short(value), unit, short(limit),
			value <= limit ? "met" : "NOT MET"
}

function programs(name, part, tool)
{
	print "\nBPF programs one by one: runs/connection, ns/run, ns/connection"
	for (name in progs) {
		split(name, part, "/")
		tool = part[1]
		printf "%-31s %-20s %20s %20s %20s\n", label[tool], part[2], cell(name, "runs"),
			cell(name, "ns"), cell(name, "total") | "sort"
	}
	close("sort")
}

$3 == "prog" {
	name = $2 "/" $4 (same[$1, $2, $4]++ ? "." same[$1, $2, $4] : "")
	progs[name] = 1
	add($1, name, "runs", $5 / n)
	add($1, name, "ns", $6 / $5)
	add($1, name, "total", $6 / n)
	runs[$1, $2] += $5
	ns[$1, $2] += $6
	next
}
$3 == "cpu_ns" { add($1, $2, "cpu_us", $4 / 1000 / n); next }
$3 == "seconds" { add($1, $2, "us", $4 * 1e6 / n); next }
$3 == "lines" { if ($2 != "three") add($1, $2, "lines", $4 / n / $5 / 2); next }
/Vm|Rss/ { add($1, $2, $3, $4 / 1024); next }
{ add($1, $2, $3, $4) }

END {
	for (rt in runs) {
		split(rt, part, SUBSEP)
		add(part[1], part[2], "runs", runs[rt] / n)
		add(part[1], part[2], "ns", ns[rt] / runs[rt])
		add(part[1], part[2], "total", ns[rt] / n)
	}
	split("runs ns total cpu_us lines us", part, " ")
	for (i in part)
		churned[part[i]] = 1
	nt = split("close script three tcplife btlife", t, " ")
	for (i = 1; i <= nt; i++)
		for (r = 1; r <= rounds; r++)
			dropped += disturbed(r, t[i])

	label["none"] = "no tracer"
	label["close"] = "bpfnet, tcpclose to lines"
	label["three"] = "bpfnet, three probes"
	label["script"] = "bpfnet, scripts/tcplife.lua"
	label["tcplife"] = "libbpf-tools tcplife (1 probe)"
	label["bpftrace"] = "bpftrace, three probes"
	label["btlife"] = "bpftrace, tcplife.bt (1 probe)"
	heads["start_ms"] = "start, ms"
	heads["exit_ms"] = "exit, ms"
	heads["VmRSS"] = "VmRSS, MiB"
	heads["VmHWM"] = "VmHWM, MiB"
	heads["RssAnon"] = "RssAnon, MiB"
	heads["RssMaps"] = "of it maps, MiB"
	heads["LaterVmRSS"] = "VmRSS later, MiB"
	heads["runs"] = "runs/connection"
	heads["ns"] = "ns/run"
	heads["total"] = "ns/connection"
	heads["cpu_us"] = "CPU, us/connection"
	heads["lines"] = "lines/end"
	heads["lost"] = "lost, as it says"
	heads["us"] = "churn, us/connection"
	heads["syscall_ns"] = "getppid(), ns"

	table("1. Start to attached, SIGINT to exit (x: to bpftrace, three probes)",
	      "three close tcplife bpftrace btlife", "bpftrace", "start_ms exit_ms")
	table("2. Memory once attached, and after the churns (x: to bpftrace, three probes)",
	      "three close tcplife bpftrace btlife", "bpftrace", "VmRSS VmHWM RssAnon RssMaps LaterVmRSS")
	table("3. Time in BPF programs (x: to libbpf-tools' tcplife)",
	      "close three tcplife btlife", "tcplife", "runs ns total")
	table("4. CPU of the tracer, user and system (x: to libbpf-tools' tcplife)",
	      "close script three tcplife btlife", "tcplife", "cpu_us lines lost")
	table("5. The traced work, and a system call that nobody traces (x: to no tracer)",
	      "none close script three tcplife btlife", "none", "us syscall_ns")
	if (dropped)
		printf "\n%d churns left out of 3 to 5: others made connections meanwhile\n", dropped
	if (verbose)
		programs()
	print "\nAims"
	aim("start to attached, three probes", median("three", "start_ms"), 60, "ms")
	aim("memory, three probes (VmRSS)", median("three", "VmRSS"), 16, "MiB")
	aim("memory, three probes, at its highest (VmHWM)", median("three", "VmHWM"), 16, "MiB")
	if (median("tcplife", "ns") != "") {
		aim("tcpclose, ns per BPF run: a fifth of tcplife's", median("close", "ns"),
		    median("tcplife", "ns") / 5, "ns")
		aim("tcpclose, ns in BPF per connection: a fifth of tcplife's",
		    median("close", "total"), median("tcplife", "total") / 5, "ns")
	}
}
