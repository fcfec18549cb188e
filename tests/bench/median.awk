# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Medians for events.awk and stage.awk, of values[k, 1] to values[k, n[k]].

# "" without values; the least and the most are left in lo and hi.
function median_of(k,    i, j, t, m) {
	m = n[k]
	if (!m)
		return ""
	for (i = 2; i <= m; i++) {
		t = values[k, i]
		for (j = i - 1; j > 0 && values[k, j] > t; j--)
			values[k, j + 1] = values[k, j]
		values[k, j + 1] = t
	}
	lo = values[k, 1]
	hi = values[k, m]
	return m % 2 ? values[k, (m + 1) / 2] : (values[k, m / 2] + values[k, m / 2 + 1]) / 2
}
