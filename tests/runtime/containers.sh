#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# containers.sh COMMAND - a node with real containers: containerd with runc, driven through its CRI socket
#
#   fetch                 downloads the packages that are not installed and unpacks them, without installing
#                         them: no service starts, nothing but .output/containers changes
#   missing               which of these packages are neither installed nor unpacked: one line, or nothing
#   up DIR [whole] [IMAGE=FILE,FILE...]...
#                         starts a node whose files are in DIR, which must not exist, and prints "ready"; it
#                         is taken down when the standard input ends, or whoever started it. Each IMAGE is
#                         made of these programs, busybox and the libraries that they need.
#   down DIR              takes down what such a node left, whatever became of it
#   exec DIR COMMAND...   runs COMMAND where the node's own programs run
#
# The node has a mount namespace and a network namespace of its own, so that its bridge, its addresses and
# its pods' namespaces end with it, and cgroups of its own, below one with the name of DIR. All paths of its
# containerd are below DIR: a containerd that the machine may have is left alone. With "whole" the machine is
# all the node's, as a guest is: containers are where everybody has them, in the machine's own network
# namespace, with /run/containerd and cgroups from the root.
#
#   DIR/containerd.sock                                  the CRI socket
#   DIR/state/io.containerd.runtime.v2.task/k8s.io/ID    bundles (whole: /run/containerd/io.con...), which are
#                                                        their shims' working directories
#   DIR/runc/k8s.io/ID/state.json                        runc's own
#   DIR/node                                             what `down` and `exec` have to know
#   DIR/*.log                                            what went wrong
#
# Exit status: 0; 1 after a failure; 2 when called the wrong way.
set -u

here=$(dirname "$(realpath "$0")")
root=$(realpath -m "$here/../../.output/containers")
packages=(containerd runc containernetworking-plugins busybox-static curl)
. "$here/packages.sh"
. "$here/containers_down.sh"

# Options first, then images.
up() { # DIR ...
	local dir whole='' own=(--net)
	dir=$(realpath -m "$1") && sweep "${dir%/*}" && mkdir -p "${dir%/*}" && mkdir "$dir" ||
		fail 1 "cannot make $1"
	shift
	if [ "${1-}" = whole ]; then
		whole=1 own=()
		shift
	fi
	[ ${#dir} -lt 80 ] || fail 1 "the path of a socket in $dir would be too long"
	exec unshare --mount --propagation private "${own[@]}" \
		bash "$here/containers_serve.sh" "$root" "$dir" "$whole" "$@"
}

# In the namespaces of containerd, which are there as long as that runs.
exec_in() { # DIR command...
	local pid
	pid=$(fact "$1" containerd 2>/dev/null)
	[ -n "$pid" ] || fail 1 "there is no node in $1"
	shift
	exec nsenter --mount --net -t "$pid" -- "$@"
}

command=${1-}
[ $# -eq 0 ] || shift
case $command:$# in
fetch:0) fetch "${packages[@]}" ;;
missing:0) missing "${packages[@]}" ;;
up:[1-9]*) up "$@" ;;
down:1) down "$1" ;;
exec:[2-9]* | exec:1?*) exec_in "$@" ;;
*) fail 2 "usage: containers.sh fetch | missing | up DIR [whole] [IMAGE=FILE,...]... | down DIR | exec DIR COMMAND..." ;;
esac
