# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The table of tests/bench/pod_events: medians [least-most] of "FORM RATE KEY VALUE" lines.

function add(form, rate, key, value,    k) {
	k = form SUBSEP rate SUBSEP key
	values[k, ++n[k]] = value
}

function cell(form, rate, key, format,    m) {
	m = median_of(form SUBSEP rate SUBSEP key)
	return m == "" ? "-" : sprintf(format " [" format "-" format "]", m, lo, hi)
}

# A form's numbers are whole when it is told how many calls there were.
$3 != "calls" {
	now[$3] = $4
	next
}

{
	if (!($1 in known)) {
		known[$1] = 1
		forms[++nr] = $1
	}
	if ($1 == "none")
		base[$2] = now["call_ns"]
	else {
		add($1, $2, "added", now["call_ns"] - base[$2])
		add($1, $2, "cpu", now["cpu_ns"] / (now["seen"] ? now["seen"] : $4))
		if (now["seconds"] > 0)
			add($1, $2, "part", 100 * now["cpu_ns"] / now["seconds"] / 1e9)
		if (now["seen"] + now["filtered"] > 0)
			add($1, $2, "known", now["pods"])
	}
	delete now
}

END {
	print "| form | traced call, ns more | bpfnet, ns of CPU per call | CPU at 10,000 a second, % |"
	print "|---|---|---|---|"
	for (i = 1; i <= nr; i++)
		if (forms[i] != "none")
			printf "| %s | %s | %s | %s |\n", forms[i], cell(forms[i], 0, "added", "%.0f"),
				cell(forms[i], 0, "cpu", "%.0f"), cell(forms[i], 10000, "part", "%.2f")
}
