#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# demo.sh - the main job for a few seconds: traffic in a network namespace of its own, seen by
# tcplife. A web server and its clients, and some that are
# refused.
set -eu
cd "$(dirname "$0")/.."
bpfnet=$PWD/.output/bpfnet
dir=$(mktemp -d)
ns=bpfnet-demo-$$
ip netns add "$ns"
trap 'ip netns pids "$ns" | xargs -r kill 2>/dev/null; ip netns del "$ns"; rm -rf "$dir"' EXIT
ip -n "$ns" link set lo up

head -c 100000 /dev/urandom >"$dir/file"
ip netns exec "$ns" busybox httpd -f -p '[::]:8080' -h "$dir" &
(
	sleep 1
	for i in 1 2 3; do
		ip netns exec "$ns" curl -s -o /dev/null http://127.0.0.1:8080/file
		ip netns exec "$ns" curl -s -o /dev/null "http://[::1]:8080/file"
		ip netns exec "$ns" curl -s -o /dev/null --max-time 1 http://127.0.0.1:81/ || true
		sleep 0.5
	done
) &
echo "bpfnet run tcplife --netns /run/netns/$ns --duration 4"
echo
"$bpfnet" run tcplife --netns "/run/netns/$ns" --duration 4 &
"$bpfnet" run connections --netns "/run/netns/$ns" --duration 4 --interval 60 >"$dir/connections"
wait $!
echo
echo "bpfnet run connections --netns /run/netns/$ns --duration 4"
echo
cat "$dir/connections"
