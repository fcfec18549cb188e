#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# programs.sh COMMAND - programs that everybody uses, with servers and clients in namespaces of their own
#
#   fetch            downloads the packages that are not installed and unpacks them, without installing
#                    them: no service starts, no user appears, nothing but .output/programs changes
#   missing NAME...  which of these packages are neither installed nor unpacked: one line, or nothing
#   up CGROUP        starts the servers in this cgroup (a directory) and prints "ready"; then does each work
#                    that a line of its standard input names ("NAME FILE", see programs_work.sh): starts it
#                    at once and writes its results to FILE. At the end of its input all is ended.
#
# Servers, files and clients share a network namespace (so that ports are free), a process namespace
# (so that all end together) and a mount namespace with a /run and a /etc/passwd of its own.
#
# Exit status: 0; 1 after a failure; 2 when called the wrong way.
set -u

here=$(dirname "$(realpath "$0")")
root=$(realpath -m "$here/../../.output/programs")
packages=(apache2-utils curl haproxy iperf3 memcached nginx-light openssh-client openssh-server openssl
	postgresql-15 python3 redis-server redis-tools wrk)

. "$here/packages.sh"

up() { # cgroup
	[ -w "$1/cgroup.procs" ] || fail 1 "'$1' is not a cgroup's directory"
	echo $$ >"$1/cgroup.procs"
	exec unshare --mount --net --ipc --pid --fork --kill-child bash "$here/programs_serve.sh" "$root"
}

command=${1-}
[ $# -eq 0 ] || shift
case $command:$# in
fetch:0) fetch "${packages[@]}" ;;
missing:[1-9]* | up:1) "$command" "$@" ;;
*) fail 2 "usage: programs.sh fetch | missing NAME... | up CGROUP" ;;
esac
