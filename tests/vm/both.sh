#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# both.sh "SPEC..." NAME... - in a guest: files of specs, if any, then the unit tests of these names.
# The exit status is that of the specs. Their own callbacks may take longer there than a second.
set -u
specs=$1 status=0
shift
if [ -n "$specs" ]; then
	# shellcheck disable=SC2086 # a list of words
	.output/bpfnet run --limit-time 20 spec/run.lua $specs
	status=$?
fi
sh tests/vm/units.sh "$@"
exit $status
