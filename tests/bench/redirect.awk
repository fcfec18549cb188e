# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The tables of `redirect` from lines "GROUP NAME ROUND WAY KEY VALUE", separated by tabs: ratios to
# plain TCP in the same round, and whether they meet the aims. Goes after median.awk.

BEGIN {
	FS = "\t"
	title["turns"] = "request and response"
	title["pipelined"] = "16 requests in flight"
	title["stream"] = "one way"
	title["churn"] = "connect, exchange, close"
	title["chain"] = "client, two proxies, server"
	title["veth"] = "two network namespaces"
	title["programs"] = "programs"
	least_rate["turns"] = 1.7
	most_p50["turns"] = 0.6
	least_rate["pipelined"] = least_rate["stream"] = 0.95
	least_rate["churn"] = 0.97
	least_rate["chain"] = 1.6
	CONNECTIONS = 10000 # of the group memory
}

{
	if (!($1 in names))
		order[++groups] = $1
	if (!(($1, $2) in seen)) {
		seen[$1, $2] = 1
		names[$1] = names[$1] $2 "\t"
	}
	got[$2, $3, $4, $5] = $6
	if ($3 > rounds)
		rounds = $3
}

function keep(k, v) {
	values[k, ++n[k]] = v
}

# Fills in what median_of() needs: of one way's figure to the plain one, or less it
function ratios(name, way, key,    k, r) {
	k = name SUBSEP way SUBSEP key
	for (r = 1; r <= rounds; r++)
		if (got[name, r, way, key] > 0 && got[name, r, "plain", key] > 0)
			keep(k, got[name, r, way, key] / got[name, r, "plain", key])
	return k
}

function figures(name, way, key,    k, r) {
	k = name SUBSEP way SUBSEP key SUBSEP "itself"
	for (r = 1; r <= rounds; r++)
		if ((name, r, way, key) in got)
			keep(k, got[name, r, way, key])
	return k
}

function cell(k,    m) {
	m = median_of(k)
	return m == "" ? "" : sprintf("%.2f [%.2f-%.2f]", m, lo, hi)
}

function thousands(x) {
	if (x == "" || x < 10000)
		return x == "" ? "" : sprintf("%.0f", x)
	return x < 1000000 ? sprintf("%.1f k", x / 1e3) : sprintf("%.2f M", x / 1e6)
}

function microseconds(ns) {
	return ns == "" ? "" : sprintf("%.1f", ns / 1000)
}

function verdict(group, rate, p50,    ok) {
	if (!(group in least_rate) || rate == "")
		return ""
	ok = rate >= least_rate[group]
	if (group in most_p50 && p50 != "")
		ok = ok && p50 <= most_p50[group]
	return ok ? "met" : "**not met**"
}

function aims(group) {
	return (group in least_rate ? sprintf(": the aim is %.2f of the rate or more", least_rate[group]) : "") \
		(group in most_p50 ? sprintf(", %.2f of the median latency or less", most_p50[group]) : "")
}

function table(group,    list, c, i, name, shown, rate, p50) {
	printf "\n%s%s\n\n", title[group], aims(group)
	print "| | plain, /s | p50, us | redirect: rate | p50 | p99 | CPU | aim | UNIX: rate | p50 |"
	print "|---|---|---|---|---|---|---|---|---|---|"
	c = split(names[group], list, "\t") - 1
	for (i = 1; i <= c; i++) {
		name = shown = list[i]
		gsub(/_/, " ", shown)
		rate = ratios(name, "redirect", "rate")
		p50 = ratios(name, "redirect", "p50_ns")
		printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", shown,
			thousands(median_of(figures(name, "plain", "rate"))),
			microseconds(median_of(figures(name, "plain", "p50_ns"))),
			cell(rate), cell(p50), cell(ratios(name, "redirect", "p99_ns")),
			cell(ratios(name, "redirect", "cpu_ns_per_op")),
			verdict(group, median_of(rate), median_of(p50)),
			cell(ratios(name, "unix", "rate")), cell(ratios(name, "unix", "p50_ns"))
	}
}

function per_connection(way, key,    k, m) {
	k = figures("10,000_connections", way, key)
	m = median_of(k)
	return m == "" ? "" : sprintf("%.0f [%.0f-%.0f]", m / CONNECTIONS, lo / CONNECTIONS,
		hi / CONNECTIONS)
}

function memory_table(    i, ways) {
	print "\nmemory of a connection (both ends), bytes, of 10,000 that are idle again\n"
	print "| | Slab | MemAvailable |\n|---|---|---|"
	split("plain redirect unix", ways, " ")
	for (i = 1; i <= 3; i++)
		printf "| %s | %s | %s |\n", ways[i], per_connection(ways[i], "slab_bytes"),
			per_connection(ways[i], "memory_bytes")
}

END {
	for (g = 1; g <= groups; g++)
		if (order[g] == "memory")
			memory_table()
		else
			table(order[g])
}
