#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# both.sh "SPEC..." NAME... - in a guest: files of specs, then the unit tests of these names.
# The exit status is that of the specs.
set -u
specs=$1
shift
# shellcheck disable=SC2086 # a list of words
.output/bpfnet run spec/run.lua $specs
status=$?
sh tests/vm/units.sh "$@"
exit $status
