#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# units.sh NAME... - in a guest: the unit tests whose outcome depends on the kernel, and their sum.
# Random tests are shorter there: guests are emulated.
set -u
export BPFNET_RANDOM=2000
log=$(mktemp)
for name; do
	".output/unit/test_$name" || echo "units.sh: $name failed"
done | tee "$log"
awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5; n++ }
	END { if (n < '$#') f++; printf "%d passed, %d failed, %d skipped\n", p, f, s }' "$log"
rm -f "$log"
