#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# containers_serve.sh ROOT DIR WHOLE [IMAGE=FILE,FILE...]... - the node, in the namespaces that containers.sh
# has made; ends with its standard input, or with its parent, and takes down all that it started. ROOT is
# where packages have been unpacked.
set -u

here=$(dirname "$(realpath "$0")")
root=$1 dir=$2 whole=$3
shift 3
. "$here/containers_down.sh"

# Unpacked ones before installed ones, and nothing of the caller's.
machine=$(uname -m)-linux-gnu
PATH=$root/usr/sbin:$root/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin
LD_LIBRARY_PATH=$root/usr/lib/$machine:$root/lib/$machine
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
plugins=/usr/lib/cni
[ ! -e "$root/usr/lib/cni/bridge" ] || plugins=$root/usr/lib/cni
export PATH LD_LIBRARY_PATH LC_ALL=C

state=$dir/state runc=$dir/runc top=${dir##*/}
own="$top $top-*"
if [ -n "$whole" ]; then
	state=/run/containerd runc=/run/containerd/runc top=''
	own="kubepods* system.slice/containerd.service"
fi

fail() { # message
	echo "containers.sh: $1" >&2
	tail -n 20 "$dir"/*.log >&2
	exit 1
}

# Roots of containers, and what the node has mounted itself.
unmount_below() { # directory...
	local top
	for top; do
		awk -v top="$top/" 'index($2, top) == 1 { print $2 }' /proc/mounts | sort -r |
			xargs -r umount -l
	done
}

take_down() {
	trap '' TERM INT HUP
	end_cgroups "$own"
	unmount_below "$dir" "$state"
	forget_networks "${dir##*/}"
	[ -z "$whole" ] || { ip link del bpfnet0; rm -rf --one-file-system /run/containerd; }
	rm -rf --one-file-system "$dir"
}

# Shims have their sockets in /run/containerd whatever the configuration says, and namespaces of pods are
# in /run/netns: a /run of our own, seen by nobody else, ends with us. Images are unpacked into memory.
own_system() {
	mkdir "$dir/root" "$dir/cni" "$dir/logs" && mount -t tmpfs -o mode=755 tmpfs "$dir/root" || exit 1
	if [ -n "$whole" ]; then
		mkdir -p /run/netns /run/containerd && mount -t tmpfs -o mode=755 tmpfs /run/netns || exit 1
	else
		mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/netns && ip link set lo up || exit 1
	fi
}

network_config() {
	cat <<-END
		{ "cniVersion": "0.4.0", "name": "${dir##*/}", "plugins": [
			{ "type": "bridge", "bridge": "bpfnet0", "isGateway": true, "ipMasq": false,
			  "ipam": { "type": "host-local", "dataDir": "$dir/root/ipam",
			            "ranges": [[{ "subnet": "10.89.77.0/24" }]],
			            "routes": [{ "dst": "0.0.0.0/0" }] } }
		] }
	END
}

# An emulated guest's memory is several times as quick as what it sees of the machine's files.
into_memory() {
	local name
	mkdir -p "$dir/root/bin" "$dir/root/cni"
	for name in containerd containerd-shim-runc-v2 ctr runc; do
		cp "$(type -P $name)" "$dir/root/bin" || exit 1
	done
	for name in bridge host-local loopback; do
		cp "$plugins/$name" "$dir/root/cni" || exit 1
	done
	PATH=$dir/root/bin:$PATH plugins=$dir/root/cni
}

# Without CAP_SYS_RESOURCE nobody may lower an oom_score_adj, and runc would fail on it.
config() {
	cat <<-END
		version = 2
		root = "$dir/root/containerd"
		state = "$state"
		disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
			"io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
		[grpc]
		address = "$dir/containerd.sock"
		[ttrpc]
		address = "$dir/ttrpc.sock"
		[plugins."io.containerd.internal.v1.opt"]
		path = "$dir/root/opt"
		[plugins."io.containerd.grpc.v1.cri"]
		sandbox_image = "registry.test/pause:3.9"
		restrict_oom_score_adj = true
		disable_apparmor = true
		disable_tcp_service = true
		[plugins."io.containerd.grpc.v1.cri".cni]
		bin_dir = "$plugins"
		conf_dir = "$dir/cni"
		[plugins."io.containerd.grpc.v1.cri".containerd]
		snapshotter = "overlayfs"
		default_runtime_name = "runc"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		runtime_type = "io.containerd.runc.v2"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
		BinaryName = "$(type -P runc)"
		Root = "$runc"
	END
}

# As a unit of its own, in every hierarchy; shims stay in it.
start_containerd() {
	local unit=$top/system.slice/containerd.service
	(
		pid=$BASHPID
		hierarchies | while read -r mount; do
			mkdir -p "$mount/$unit" && { [ ! -e "$mount/$unit/cpuset.cpus" ] || own_cpuset "$mount" "$unit"; } &&
				echo "$pid" >"$mount/$unit/cgroup.procs" || exit 1
		done || exit 1
		exec containerd --config "$dir/config.toml" --log-level warn
	) >"$dir/containerd.log" 2>&1 </dev/null &
	containerd=$!
	disown
}

# In v1 a new one has no processors, and then takes no process.
own_cpuset() { # mount cgroup
	local at=$1 name names
	IFS=/ read -r -a names <<<"${2#/}"
	for name in "${names[@]}"; do
		[ -n "$(<"$at/$name/cpuset.cpus")" ] || cat "$at/cpuset.cpus" >"$at/$name/cpuset.cpus" || return
		[ -n "$(<"$at/$name/cpuset.mems")" ] || cat "$at/cpuset.mems" >"$at/$name/cpuset.mems" || return
		at=$at/$name
	done
}

answers() {
	local try
	for ((try = 0; try < 600; try++)); do
		[ ! -S "$dir/containerd.sock" ] || ! client version >/dev/null 2>&1 || return 0
		[ -d "/proc/$containerd" ] || fail "containerd ended"
		sleep 0.05
	done
	fail "containerd does not answer"
}

client() { # arguments of ctr
	ctr --address "$dir/containerd.sock" --namespace k8s.io "$@"
}

wait_for_end() {
	local parent=$PPID now
	while :; do
		read -r -t 1
		[ $? -gt 128 ] || return
		read -r _ _ _ now _ <"/proc/$$/stat"
		[ "$now" = "$parent" ] || return
	done
}

trap take_down EXIT
trap 'exit 1' TERM INT HUP
printf '%s\n' "server=$$" "cgroups=$own" "top=$top" "state=$state" "runc=$runc" >"$dir/node"
own_system
[ -z "$whole" ] || into_memory
network_config >"$dir/cni/10-bpfnet.conflist"
config >"$dir/config.toml"
start_containerd
echo "containerd=$containerd" >>"$dir/node"
bash "$here/containers_image.sh" "$dir/root/images.tar" registry.test/pause:3.9= "$@" 2>"$dir/image.log" ||
	fail "cannot make images"
answers
client images import --no-unpack "$dir/root/images.tar" >"$dir/import.log" 2>&1 || fail "cannot import images"
rm "$dir/root/images.tar"
echo ready
wait_for_end
