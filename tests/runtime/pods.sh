#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# pods.sh COMMAND - a node with two pods and another machine, in network namespaces of their own
#
#   up [OPTION]...        builds it and prints facts, key=value, a line each
#   down                  ends what runs in it and takes it down; also what a failed up left behind
#   exec NAME COMMAND...  runs COMMAND in HOST, A, B or PEER
#   has FEATURE           is it there: bridge br_netfilter iptables legacy nft vlan vxlan gro
#
#   A eth0 --- va \
#                  br0  HOST  vp --- eth0 PEER      pods: 10.1.0.0/24 fd01::/64 (br0 1, A 2, B 3)
#   B eth0 --- vb /                                 vp: 10.2.0.0/24 fd02::/64 (HOST 1, PEER 2)
#
# The namespaces are $PODS-HOST, $PODS-A, ...; nothing outside of them is touched, but that kernel
# modules which are missing are loaded.
#
# Options of up:
#   fw=none|iptables|legacy|nft  who filters in HOST (default none): A and B are masqueraded to PEER,
#               HOST:8080 is A:80; port 9999 is dropped in FORWARD (nft: forward), 9998 in DENY,
#               which FORWARD jumps to, 9997 in INPUT (nft: input); tcp and udp
#   neigh       neighbours and the bridge's table are static: no packet but those that are sent
#   mtu=BYTES   of all devices
#   gro=on|off  of all veths
#   vlan        VLAN 5: eth0.5 in A and B, br0.5 on a bridge that filters; 10.5.0.0/24 fd05::/64
#   vxlan       VXLAN 42 between HOST and PEER: vx0; 10.3.0.0/24 fd03::/64 (HOST 1, PEER 2). PEER
#               then sends through it what goes to the pods.
#
# Exit status: 0; 1 after a failure; 2 when called the wrong way; 3 when the kernel lacks a feature.
set -u
shopt -s extglob

here=$(dirname "$(realpath "$0")")
packets=${PACKETS:-$here/../../.output/tests/packets}
names=(HOST A B PEER)
features=(bridge br_netfilter iptables legacy nft vlan vxlan gro)
# Each data segment is acknowledged at once, and none is sent twice because a machine is slow.
route="quickack 1 rto_min 2s"

fail() { # status message
	echo "pods.sh: $2" >&2
	exit "$1"
}

ip_in() { # name: ip's commands from standard input
	ip -n "$PODS-$1" -batch -
}

run_in() { # name command...
	nsenter --net="/run/netns/$PODS-$1" -- "${@:2}"
}

load_modules() {
	modprobe -qa veth bridge br_netfilter 8021q vxlan nf_tables ip_tables ip6_tables nf_conntrack \
		2>/dev/null
	return 0
}

# Rules, each for both protocols that have ports.

nft_ports() { # rule, with PROTO
	echo "${1//PROTO/tcp}; ${1//PROTO/udp}"
}

rules_nft() {
	cat <<-END
		table inet filter {
			chain DENY { $(nft_ports "PROTO dport 9998 drop"); }
			chain input {
				type filter hook input priority 0; $(nft_ports "PROTO dport 9997 drop");
			}
			chain forward {
				type filter hook forward priority 0; $(nft_ports "PROTO dport 9999 drop");
				jump DENY
			}
		}
		table inet nat {
			chain prerouting {
				type nat hook prerouting priority -100;
				$(nft_ports "ip daddr { 10.1.0.1, 10.2.0.1 } PROTO dport 8080 dnat ip to 10.1.0.2:80")
				$(nft_ports "ip6 daddr { fd01::1, fd02::1 } PROTO dport 8080 dnat ip6 to [fd01::2]:80")
			}
			chain postrouting {
				type nat hook postrouting priority 100;
				ip saddr 10.1.0.0/24 oifname "vp" masquerade
				ip6 saddr fd01::/64 oifname "vp" masquerade
			}
		}
	END
}

rules_iptables() { # pods' subnet, A with its port, HOST's addresses...
	local proto to filter nat="-A POSTROUTING -s $1 -o vp -j MASQUERADE"
	for proto in tcp udp; do
		filter+="-A FORWARD -p $proto --dport 9999 -j DROP"$'\n'
		filter+="-A DENY -p $proto --dport 9998 -j DROP"$'\n'
		filter+="-A INPUT -p $proto --dport 9997 -j DROP"$'\n'
		for to in "${@:3}"; do
			nat+=$'\n'"-A PREROUTING -d $to -p $proto --dport 8080 -j DNAT --to-destination $2"
		done
	done
	printf '*filter\n:DENY -\n-A FORWARD -j DENY\n%sCOMMIT\n*nat\n%s\nCOMMIT\n' "$filter" "$nat"
}

load_rules() { # fw command...: with a command in front, as `run_in HOST`
	local kind=$1
	shift
	case $kind in
	none) ;;
	nft) rules_nft | "$@" nft -f - ;;
	*)
		[ "$kind" = legacy ] || kind=nft
		rules_iptables 10.1.0.0/24 10.1.0.2:80 10.1.0.1 10.2.0.1 |
			"$@" "iptables-$kind-restore" -w &&
			rules_iptables fd01::/64 '[fd01::2]:80' fd01::1 fd02::1 |
			"$@" "ip6tables-$kind-restore" -w
		;;
	esac
}

# What there is, found out by trying in a namespace without a name.

has() { # feature
	[[ " ${features[*]} " == *" $1 "* ]] || fail 2 "no feature '$1' (there are: ${features[*]})"
	case $1 in
	bridge) unshare -n ip link add br0 type bridge ;;
	br_netfilter) unshare -n test -e /proc/sys/net/bridge/bridge-nf-call-ip6tables ;;
	iptables | legacy | nft) load_rules "$1" unshare -n ;;
	vlan)
		printf '%s\n' 'link add br0 type bridge vlan_filtering 1' \
			'link add link br0 name br0.5 type vlan id 5' | unshare -n ip -batch -
		;;
	vxlan) unshare -n ip link add vx0 type vxlan id 42 dstport 4789 ;;
	gro) grep -qw veth_set_features /proc/kallsyms ;;
	esac 2>/dev/null
}

need() { # feature...
	local feature
	for feature; do
		has "$feature" || fail 3 "this kernel has no $feature"
	done
}

# Building it.

# No packet but those that somebody sends: no search for routers and for addresses taken twice, no
# link-local addresses, group reports at once.
quiet() { # name: the settings of a new namespace
	local c settings=(net.ipv4.tcp_no_metrics_save=1 net.ipv4.tcp_early_retrans=0)
	for c in all default; do
		settings+=("net.ipv4.conf.$c.rp_filter=0" "net.ipv4.conf.$c.send_redirects=0"
			"net.ipv6.conf.$c.accept_dad=0" "net.ipv6.conf.$c.accept_ra=0"
			"net.ipv6.conf.$c.router_solicitations=0" "net.ipv6.conf.$c.disable_ipv6=0"
			"net.ipv6.conf.$c.mldv2_unsolicited_report_interval=1")
	done
	settings+=(net.ipv6.conf.default.addr_gen_mode=1)
	[ "$1" != HOST ] || settings+=(net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
		net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1)
	run_in "$1" sysctl -qw "${settings[@]}"
}

address() { # device subnet host: both families, and the way there
	printf '%s\n' "addr add 10.$2.0.$3/24 dev $1 noprefixroute" \
		"addr add fd0$2::$3/64 dev $1 noprefixroute nodad" \
		"route add 10.$2.0.0/24 dev $1 src 10.$2.0.$3 $route" \
		"route add fd0$2::/64 dev $1 src fd0$2::$3 $route"
}

gateway() { # device subnet [destinations]: through host 1 there
	printf '%s\n' "route add ${3:-default} via 10.$2.0.1 dev $1 $route" \
		"route add ${4:-default} via fd0$2::1 dev $1 $route"
}

neighbours() { # device subnet link host...: the hosts' link addresses are 02:00:00:00:0LINK:0HOST
	local device=$1 n=$2 link=$3 host
	shift 3
	[ -n "$neigh" ] || return 0
	for host; do
		printf 'neigh add %s lladdr 02:00:00:00:0%s:0%s dev %s nud permanent\n' \
			"10.$n.0.$host" "$link" "$host" "$device" "fd0$n::$host" "$link" "$host" "$device"
	done
}

host_links() {
	cat <<-END
		link set lo up
		link add br0 address 02:00:00:00:01:01 type bridge forward_delay 0 mcast_snooping 0
		link add va address 02:00:00:00:04:02 mtu $mtu type veth peer name eth0 mtu $mtu address 02:00:00:00:01:02 netns $PODS-A
		link add vb address 02:00:00:00:04:03 mtu $mtu type veth peer name eth0 mtu $mtu address 02:00:00:00:01:03 netns $PODS-B
		link add vp address 02:00:00:00:02:01 mtu $mtu type veth peer name eth0 mtu $mtu address 02:00:00:00:02:02 netns $PODS-PEER
		link set va master br0 up
		link set vb master br0 up
		link set br0 up
		link set vp up
	END
	address br0 1 1
	address vp 2 1
	neighbours br0 1 1 2 3
	neighbours vp 2 2 2
	[ -z "$neigh" ] || printf '%s\n' 'link set va type bridge_slave learning off' \
		'link set vb type bridge_slave learning off'
}

pod_links() { # host number
	printf 'link set lo up\nlink set eth0 up\n'
	address eth0 1 "$1"
	gateway eth0 1
	neighbours eth0 1 1 1 $((5 - $1))
}

peer_links() {
	printf 'link set lo up\nlink set eth0 up\n'
	address eth0 2 2
	neighbours eth0 2 2 1
	[ -n "$vxlan" ] || gateway eth0 2 10.1.0.0/24 fd01::/64
}

static_bridge() { # with "vlan 5", in that
	local in=(bridge -n "$PODS-HOST" fdb add)
	[ -n "$neigh" ] || return 0
	"${in[@]}" 02:00:00:00:01:02 dev va master static "$@" &&
		"${in[@]}" 02:00:00:00:01:03 dev vb master static "$@"
}

# The link addresses are those of the devices below: with others br0 would be promiscuous.
vlan_links() { # device it is on, host number, others'...
	printf '%s\n' "link add link $1 name $1.5 type vlan id 5" "link set $1.5 up"
	address "$1.5" 5 "$2"
	neighbours "$1.5" 5 1 "${@:3}"
}

add_vlan() {
	local device in=(bridge -n "$PODS-HOST")
	ip -n "$PODS-HOST" link set br0 type bridge vlan_filtering 1 &&
		"${in[@]}" vlan add vid 5 dev br0 self || return
	for device in va vb; do
		"${in[@]}" vlan add vid 5 dev $device || return
	done
	vlan_links br0 1 2 3 | ip_in HOST && vlan_links eth0 2 1 3 | ip_in A &&
		vlan_links eth0 3 1 2 | ip_in B && static_bridge vlan 5
}

vxlan_links() { # device below, own number, the other's
	printf '%s\n' "link add vx0 address 02:00:00:00:03:0$2 type vxlan id 42 dstport 4789 \
dev $1 local 10.2.0.$2 remote 10.2.0.$3 nolearning" 'link set vx0 up'
	address vx0 3 "$2"
	neighbours vx0 3 3 "$3"
}

add_vxlan() {
	vxlan_links vp 1 2 | ip_in HOST &&
		{ vxlan_links eth0 2 1; gateway vx0 3 10.1.0.0/24 fd01::/64; } | ip_in PEER
}

set_gro() { # on|off
	run_in HOST "$packets" gro "$1" va vb vp && run_in A "$packets" gro "$1" eth0 &&
		run_in B "$packets" gro "$1" eth0 && run_in PEER "$packets" gro "$1" eth0
}

build() {
	local name
	printf "netns add $PODS-%s\n" "${names[@]}" | ip -batch - || return
	for name in "${names[@]}"; do
		quiet "$name" || return
	done
	host_links | ip_in HOST && pod_links 2 | ip_in A && pod_links 3 | ip_in B &&
		peer_links | ip_in PEER || return
	static_bridge || return
	[ -z "$vlan" ] || add_vlan || return
	[ -z "$vxlan" ] || add_vxlan || return
	[ -z "$gro" ] || set_gro "$gro" || return
	load_rules "$fw" run_in HOST
}

# Facts, from what is there: NAME.ns and NAME.netns, NAME.DEVICE.index, .mac, .ip4, .ip6.
facts() {
	local name
	echo "fw=$fw"
	stat -Lc '%n %i' "${names[@]/#//run/netns/$PODS-}" |
		sed -E 's|^(.*-([A-Z]+)) (.*)|\2.ns=\1\n\2.netns=\3|'
	for name in "${names[@]}"; do
		echo "$name"
		printf '%s\n' 'link show' 'addr show' | ip -n "$PODS-$name" -o -batch -
	done | awk '
		NF == 1 { name = $1; next }
		{ split($2, device, /[@:]/); key = name "." device[1] "." }
		$2 ~ /:$/ { print key "index=" $1 + 0
			for (i = 3; i < NF; i++) if ($i == "link/ether") print key "mac=" $(i + 1) }
		$3 == "inet" { sub(/\/.*/, "", $4); print key "ip4=" $4 }
		$3 == "inet6" { sub(/\/.*/, "", $4); print key "ip6=" $4 }'
}

options() {
	local option
	fw=none neigh='' mtu=1500 gro='' vlan='' vxlan=''
	for option; do
		case $option in
		fw=none | fw=iptables | fw=legacy | fw=nft) fw=${option#*=} ;;
		mtu=[1-9]*([0-9])) mtu=${option#*=} ;;
		gro=on | gro=off) gro=${option#*=} ;;
		neigh) neigh=1 ;;
		vlan) vlan=1 ;;
		vxlan) vxlan=1 ;;
		*) fail 2 "no option '$option' (there are: fw=none|iptables|legacy|nft neigh mtu=BYTES gro=on|off vlan vxlan)" ;;
		esac
	done
}

# What is missing is looked for only when something went wrong, and then that is all there is to say.
up() {
	local errors
	options "$@"
	[ ! -e "/run/netns/$PODS-HOST" ] || fail 1 "there are namespaces named $PODS-... already"
	load_modules
	[ -z "$gro" ] || need gro
	if ! errors=$(build 2>&1); then
		down
		need bridge br_netfilter ${vlan:+vlan} ${vxlan:+vxlan}
		[ "$fw" = none ] || need "$fw"
		fail 1 "could not build it: $errors"
	fi
	# until the groups that the addresses are in have been reported
	sleep 0.3
	facts
}

down() {
	local name pids try
	for name in "${names[@]}"; do
		[ -e "/run/netns/$PODS-$name" ] || continue
		for ((try = 0; try < 100; try++)); do
			pids=$(ip netns pids "$PODS-$name" 2>/dev/null)
			[ -n "$pids" ] || break
			# shellcheck disable=SC2086
			kill -KILL $pids 2>/dev/null
			sleep 0.05
		done
		ip netns del "$PODS-$name"
	done
}

[ $# -gt 0 ] || fail 2 "no command (there are: up down exec has)"
[ "$1" = has ] || [[ ${PODS-} =~ ^[A-Za-z0-9_]+$ ]] || fail 2 'PODS must be a name of letters and digits'
command=$1
shift
case $command in
up) up "$@" ;;
down) down ;;
has)
	[ $# -eq 1 ] || fail 2 "has takes one feature (there are: ${features[*]})"
	load_modules
	has "$1"
	;;
exec)
	[ $# -gt 1 ] || fail 2 "exec takes a name and a command"
	[[ " ${names[*]} " == *" $1 "* ]] || fail 2 "no namespace '$1' (there are: ${names[*]})"
	exec nsenter --net="/run/netns/$PODS-$1" -- "${@:2}"
	;;
*) fail 2 "no command '$command' (there are: up down exec has)" ;;
esac
