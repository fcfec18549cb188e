#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# ssh_here.sh COMMAND - runs it by ssh at a terminal of a sshd that is there for nothing else
#
# Both are in a network and a mount namespace of their own, with a /run and a /etc/passwd of their own. sshd is
# OpenSSH's, installed or what programs.sh has unpacked. Exit status: ssh's; 255 if the connection was lost.
set -u

here=$(dirname "$(realpath "$0")")
root=$(realpath -m "$here/../../.output/programs")/usr
[ -n "${SSH_HERE-}" ] || SSH_HERE=1 exec unshare --mount --net bash "$here/ssh_here.sh" "$@"

PATH=$root/sbin:$root/bin:$PATH:/usr/sbin
libraries=$root/lib/$(uname -m)-linux-gnu:$root/../lib/$(uname -m)-linux-gnu
mount -t tmpfs -o mode=755 tmpfs /run || exit 1
dir=/run/ssh_here
mkdir -p $dir /run/sshd
printf '%s\n' "root:*:0:0:root:$dir:/bin/sh" "sshd:*:74:65534::/run/sshd:/bin/false" >$dir/passwd
printf '%s:*:::::::\n' root sshd >$dir/shadow
mount --bind $dir/passwd /etc/passwd && mount --bind $dir/shadow /etc/shadow && ip link set lo up || exit 1
ssh-keygen -q -t ed25519 -N '' -f $dir/host && ssh-keygen -q -t ed25519 -N '' -f $dir/user || exit 1
printf '%s\n' "ListenAddress 127.0.0.1:10022" "HostKey $dir/host" "AuthorizedKeysFile $dir/user.pub" \
	"StrictModes no" "UsePAM no" "PidFile none" "PrintMotd no" "PrintLastLog no" >$dir/conf
# -D: it is called by its whole path; setsid: signals of this terminal are not for it
LD_LIBRARY_PATH=$libraries setsid "$(type -P sshd)" -D -e -f $dir/conf 2>$dir/log &
server=$!
trap 'kill $server' EXIT
for ((try = 0; try < 500; try++)); do
	! ss -Hltn "sport = 10022" | grep -q . || break
	sleep 0.02
done
LD_LIBRARY_PATH=$libraries ssh -tt -F /dev/null -i $dir/user -p 10022 -o BatchMode=yes -o StrictHostKeyChecking=no \
	-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR root@127.0.0.1 "$@"
