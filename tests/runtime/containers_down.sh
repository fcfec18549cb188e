#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# containers_down.sh - takes a node down, from within it or from outside; read by containers.sh and
# containers_serve.sh
#
# All that a node starts is in its cgroups: those are emptied, then removed. Its mounts and network
# namespaces are in namespaces that nobody is in then.

# Every hierarchy's mount: containers are in all of them.
hierarchies() {
	awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts
}

cgroups_of() { # patterns, below the root
	local mount
	hierarchies | while read -r mount; do
		cd "$mount" && eval "printf '%s\n' $1" | while read -r top; do
			[ ! -d "$top" ] || echo "$mount/$top"
		done
	done
}

processes_in() { # cgroup's directory...
	find "$@" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u | grep -vx 0
}

empty_cgroups() { # directory...
	local try pids
	for ((try = 0; try < 200; try++)); do
		pids=$(processes_in "$@")
		[ -n "$pids" ] || return 0
		# shellcheck disable=SC2086
		kill -KILL $pids 2>/dev/null
		sleep 0.05
	done
	echo "${0##*/}: processes did not end: $pids" >&2
	return 1
}

# Again as long as the kernel has not noticed that the last process has gone.
remove_cgroups() { # directory...
	local try
	for ((try = 0; try < 100; try++)); do
		find "$@" -depth -type d -exec rmdir {} + 2>/dev/null
		[ -n "$(find "$@" -maxdepth 0 2>/dev/null)" ] || return 0
		sleep 0.05
	done
	echo "${0##*/}: cannot remove $*" >&2
	return 1
}

end_cgroups() { # name
	local all=()
	mapfile -t all < <(cgroups_of "$1")
	[ ${#all[@]} -eq 0 ] || { empty_cgroups "${all[@]}" && remove_cgroups "${all[@]}"; }
}

# What libcni keeps of pods that were not removed: of the node's network, and of their loopback devices.
forget_networks() { # network
	local file id
	for file in /var/lib/cni/results/"$1"-*-eth0; do
		[ -e "$file" ] || continue
		id=${file%-eth0} id=${id##*-}
		rm -f "$file" "/var/lib/cni/results/cni-loopback-$id-lo"
	done
}

fact() { # DIR name
	sed -n "s/^$2=//p" "$1/node"
}

# A number may have come to mean another process.
served() { # DIR
	grep -qzFx "$1" "/proc/$(fact "$1" server)/cmdline" 2>/dev/null
}

# From outside: also when whoever should have done it was killed.
down() { # DIR
	local dir try
	dir=$(realpath -m "$1")
	if [ -e "$dir/node" ]; then
		if served "$dir"; then
			kill -TERM "$(fact "$dir" server)"
			for ((try = 0; try < 400; try++)); do
				[ -e "$dir/node" ] && served "$dir" || break
				sleep 0.05
			done
		fi
		[ ! -e "$dir/node" ] || end_cgroups "$(fact "$dir" cgroups)" || return
		forget_networks "${dir##*/}"
	fi
	rm -rf --one-file-system "$dir"
}

# What is left beside a new node of those whose servers were killed.
sweep() { # directory
	local node
	for node in "$1"/node-*; do
		[ ! -e "$node/node" ] || served "$node" || down "$node"
	done
}
