# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The table of `run`: lines "ROUND TOOL KEY VALUE", or "ROUND TOOL prog NAME RUNS NS". Set n, the
# connections of one churn, and verbose.

function add(tool, key, value)
{
	values[tool, key, ++count[tool, key]] = value
}

function sort(tool, key, i, j, v)
{
	for (i = 2; i <= count[tool, key]; i++) {
		v = values[tool, key, i]
		for (j = i - 1; j > 0 && values[tool, key, j] > v; j--)
			values[tool, key, j + 1] = values[tool, key, j]
		values[tool, key, j + 1] = v
	}
}

function median(tool, key, c)
{
	c = count[tool, key]
	if (!c)
		return ""
	sort(tool, key)
	return (values[tool, key, int((c + 1) / 2)] + values[tool, key, int(c / 2) + 1]) / 2
}

function short(x)
{
	if (x == "")
		return "-"
	if (x < 10 && x != int(x))
		return sprintf("%.2f", x)
	return x < 100 && x != int(x) ? sprintf("%.1f", x) : sprintf("%.0f", x)
}

function cell(tool, key, m)
{
	m = median(tool, key)
	if (m == "")
		return "-"
	return short(m) " [" short(values[tool, key, 1]) "-" short(values[tool, key, count[tool, key]]) "]"
}

function ratio(a, b)
{
	return a == "" || b == "" || b == 0 ? "-" : sprintf("%.3g", a / b)
}

# One row per tool; the ratio is to the reference tool's median.
function table(title, tools, reference, columns, t, i, j, k, nt, nc, line)
{
	printf "\n%s\n", title
	nt = split(tools, t, " ")
	nc = split(columns, k, " ")
	line = sprintf("%-30s", "")
	for (j = 1; j <= nc; j++)
		line = line sprintf(" %20s %5s", heads[k[j]], "x")
	print line
	for (i = 1; i <= nt; i++) {
		line = sprintf("%-30s", label[t[i]])
		for (j = 1; j <= nc; j++)
			line = line sprintf(" %20s %5s", cell(t[i], k[j]),
					    ratio(median(t[i], k[j]), median(reference, k[j])))
		print line
	}
}

function aim(what, value, limit, unit)
{
	if (value != "")
		printf "%-62s %10s %-8s aim %-8s %s\n", what, short(value), unit, short(limit),
			value <= limit ? "met" : "NOT MET"
}

$3 == "prog" {
	runs[$1, $2] += $5
	ns[$1, $2] += $6
	key = $1 SUBSEP $2 SUBSEP $4
	name = $4 (same[key]++ ? "." same[key] : "")
	progs[$2, name] = 1
	add($2 "/" name, "runs", $5 / n)
	add($2 "/" name, "ns", $6 / $5)
	add($2 "/" name, "total", $6 / n)
	seen[$1, $2] = 1
	next
}
$3 == "cpu_ns" { add($2, "cpu_us", $4 / 1000 / n); next }
$3 == "seconds" { add($2, "us", $4 * 1e6 / n); next }
$3 == "lines" { if ($2 != "three") add($2, "lines", $4 / n / $5 / 2); next }
$3 ~ /(Vm|Rss)/ { add($2, $3, $4 / 1024); next }
{ add($2, $3, $4) }

END {
	for (rt in seen) {
		split(rt, part, SUBSEP)
		add(part[2], "runs", runs[rt] / n)
		add(part[2], "ns", ns[rt] / runs[rt])
		add(part[2], "total", ns[rt] / n)
	}
	label["none"] = "no tracer"
	label["close"] = "bpfnet, tcpclose to a line"
	label["three"] = "bpfnet, three probes"
	label["script"] = "bpfnet, scripts/tcplife.lua"
	label["tcplife"] = "libbpf-tools tcplife (1 probe)"
	label["bpftrace"] = "bpftrace, three probes"
	label["btlife"] = "bpftrace, tcplife.bt"
	heads["start_ms"] = "start, ms"
	heads["exit_ms"] = "exit, ms"
	heads["VmRSS"] = "VmRSS, MiB"
	heads["VmHWM"] = "VmHWM, MiB"
	heads["RssAnon"] = "RssAnon, MiB"
	heads["RssMaps"] = "BPF maps, MiB"
	heads["LaterVmRSS"] = "VmRSS later, MiB"
	heads["runs"] = "runs/connection"
	heads["ns"] = "ns/run"
	heads["total"] = "ns/connection"
	heads["cpu_us"] = "CPU, us/connection"
	heads["lines"] = "lines/connection end"
	heads["lost"] = "lost, as it says"
	heads["us"] = "churn, us/connection"

	table("1. Start to attached, SIGINT to exit (x: to bpftrace, three probes)",
	      "three close tcplife bpftrace btlife", "bpftrace", "start_ms exit_ms")
	table("2. Memory once attached, and after the churns (x: to bpftrace)",
	      "three close tcplife bpftrace btlife", "bpftrace",
	      "VmRSS VmHWM RssAnon RssMaps LaterVmRSS")
	table("3. Time in BPF programs (x: to libbpf-tools tcplife)",
	      "close three tcplife btlife", "tcplife", "runs ns total")
	table("4. CPU of the tracer (x: to libbpf-tools tcplife)",
	      "close script three tcplife btlife", "tcplife", "cpu_us lines lost")
	table("5. The traced work (x: to no tracer)",
	      "none close script three tcplife btlife", "none", "us")
	if (verbose) {
		print "\nBPF programs one by one"
		for (tp in progs) {
			split(tp, part, SUBSEP)
			key = part[1] "/" part[2]
			printf "%-30s %-16s %16s runs %22s ns/run %22s ns/connection\n",
				label[part[1]], part[2], cell(key, "runs"), cell(key, "ns"),
				cell(key, "total") | "sort"
		}
		close("sort")
	}
	print "\nAims"
	aim("start to attached, three probes", median("three", "start_ms"), 60, "ms")
	aim("memory, three probes (VmRSS)", median("three", "VmRSS"), 16, "MiB")
	aim("memory, three probes, at its highest (VmHWM)", median("three", "VmHWM"), 16, "MiB")
	if (median("tcplife", "ns") != "") {
		aim("ns per BPF run, tcpclose: a fifth of tcplife's", median("close", "ns"),
		    median("tcplife", "ns") / 5, "ns")
		aim("ns in BPF per connection, tcpclose: a fifth of tcplife's",
		    median("close", "total"), median("tcplife", "total") / 5, "ns")
	}
}
