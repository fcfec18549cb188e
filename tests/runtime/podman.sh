#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# podman.sh COMMAND - podman with crun, for a machine that is all the test's own: a guest
#
#   fetch             downloads the packages that are not installed and unpacks them, without installing them
#   missing           which of these packages are neither installed nor unpacked: one line, or nothing
#   up IMAGE...       makes what podman expects on a machine, in memory, and these images; `run` works then
#   run ARGUMENTS...  podman with these arguments. Nobody is systemd there: cgroups are made by podman itself
#
# Exit status: that of podman; 1 after a failure; 2 when called the wrong way.
set -u

here=$(dirname "$(realpath "$0")")
root=$(realpath -m "$here/../../.output/containers")
packages=(podman crun conmon catatonit containernetworking-plugins golang-github-containers-common
	golang-github-containers-image busybox-static)
. "$here/packages.sh"

memory=/run/podman-test
machine=$(uname -m)-linux-gnu
PATH=$memory/bin:$root/usr/sbin:$root/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin
LD_LIBRARY_PATH=$root/usr/lib/$machine:$root/lib/$machine
export PATH LD_LIBRARY_PATH LC_ALL=C HOME=/root

plugins() {
	if [ -e "$root/usr/lib/cni/bridge" ]; then echo "$root/usr/lib/cni"; else echo /usr/lib/cni; fi
}

run() { # arguments
	CONTAINERS_CONF=$memory/containers.conf exec podman --cgroup-manager=cgroupfs --log-level=warn "$@"
}

config() {
	cat <<-END
		[engine]
		runtime = "crun"
		events_logger = "none"
		conmon_path = ["$(type -P conmon)"]
		image_parallel_copies = 1
		[engine.runtimes]
		crun = ["$(type -P crun)"]
		[network]
		network_backend = "cni"
		cni_plugin_dirs = ["$memory/cni"]
		[containers]
		apparmor_profile = "unconfined"
	END
}

up() { # image...
	local name
	mkdir -p "$memory"/{bin,cni} /var/lib/containers /etc/containers/registries.conf.d &&
		mount -t tmpfs tmpfs /var/lib/containers || exit 1
	for name in podman crun conmon catatonit; do
		cp "$(type -P $name)" "$memory/bin/" || exit 1
	done
	for name in bridge firewall host-local loopback portmap tuning; do
		cp "$(plugins)/$name" "$memory/cni/" || exit 1
	done
	# crun is started without our environment
	[ ! -d "$root/usr/lib/$machine" ] || cp -a "$root/usr/lib/$machine"/*.so* "/usr/lib/$machine/" || exit 1
	config >"$memory/containers.conf"
	echo '{ "default": [ { "type": "insecureAcceptAnything" } ] }' >/etc/containers/policy.json
	printf '[storage]\ndriver = "overlay"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n' \
		>/etc/containers/storage.conf
	bash "$here/containers_image.sh" "$memory/images.tar" "${@/%/=}" || fail 1 "cannot make images"
	run load -q -i "$memory/images.tar"
}

command=${1-}
[ $# -eq 0 ] || shift
case $command:$# in
fetch:0) fetch "${packages[@]}" ;;
missing:0) missing "${packages[@]}" ;;
up:[1-9]* | run:[1-9]*) "$command" "$@" ;;
*) fail 2 "usage: podman.sh fetch | missing | up IMAGE... | run ARGUMENTS..." ;;
esac
