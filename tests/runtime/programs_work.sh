#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# programs_work.sh NAME - one work of real clients with the servers of programs_serve.sh
#
# A work prints what must be the same each time: checksums, counts, what was answered, and whatever a
# program says on its standard error; never times and rates. At last comes "status N", not 0 if
# something failed. It cleans up what it stored, so that it can be done again and beside others.
set -u

. "$(dirname "$(realpath "$0")")/programs_env.sh"

sum() { # the checksum of standard input, short
	sha256sum | cut -c 1-16
}

together() { # command...: each a string, all at once; what they print comes in their order
	local command pids=() i status=0
	for command; do
		eval "$command" >"$tmp/together.${#pids[@]}" 2>&1 </dev/null &
		pids+=($!)
	done
	for i in "${!pids[@]}"; do
		wait "${pids[i]}" || status=1
		cat "$tmp/together.$i"
	done
	return $status
}

# redis-benchmark and what the server counted. -P 16 goes in groups, so the count is one of sixteens.
work_redis_benchmark() {
	local cli="redis-cli -p 16379" bench="redis-benchmark -q -p 16379" host
	$cli flushall && $cli config resetstat || return
	{
		for host in 127.0.0.1 ::1; do
			$bench -h $host -c 20 -n 1500 -t set,get,incr,lpush,rpop,sadd,hset,lrange_100,mset &&
				$bench -h $host -c 10 -n 1000 -d 16384 -t set,get &&
				$bench -h $host -c 10 -n 16000 -d 100 -P 16 -t set,get || return
		done
	} 2>&1 | tr '\r' '\n' | sed -n 's/: [0-9.]* requests per second.*//p; /[Ee]rror/p' || return
	$cli info commandstats | sed -En 's/^cmdstat_(set|get|incr|lpush|rpop|sadd|hset|lrange|mset):/\1 /p' |
		tr -d '\r' | sed -E 's/usec=[0-9]+,usec_per_call=[0-9.]+,//' | sort
	$cli debug digest
}

# Commands for redis-cli: each type, values of 1 byte to 1 MiB.
redis_commands() {
	awk 'BEGIN {
		for (v = "x"; length(v) < 1048576; v = v v) all[n++] = v
		all[n++] = v
		for (i = 0; i < n; i++) {
			print "set s" i " " all[i]; print "append s" i " -" i; print "strlen s" i; print "get s" i
			print "getrange s" i " 0 9"
		}
		for (i = 0; i < 300; i++) {
			print "rpush list item" i; print "hset hash field" i " " substr(v, 1, i * 7 + 1)
			print "zadd zset " (i * 37 % 101) " member" i; print "sadd set " i % 50
			print "xadd stream 1-" i + 1 " f " i; print "incrby counter " i
			print "setbit bits " i * 3 " 1"; print "pfadd hll " i
		}
		print "lrange list 0 -1"; print "hgetall hash"; print "zrange zset 0 -1 withscores"
		print "sort set"; print "xrange stream - +"; print "bitcount bits"; print "pfcount hll"
		print "multi"; for (i = 0; i < 50; i++) print "incr counter"; print "exec"
		print "eval \"local t = {} for i = 1, 2000 do t[i] = i * i end return t\" 0"
		print "object encoding hash"; print "hincrby list f 1"; print "no_such_command"
		print "mget s1 s5 s10 s15 s20"; print "dump list"; print "dbsize"
	}'
}

redis_subscriber() { # file, to which go 200 messages
	local channel
	redis-cli -h ::1 -p 16380 --csv subscribe news 2>&1 >"$1" &
	until redis-cli -p 16380 pubsub numsub news | grep -qx 1; do sleep 0.01; done
	awk 'BEGIN { for (i = 0; i < 200; i++) { v = v "-" i; print "publish news " i v } }' |
		redis-cli -p 16380 | sort | uniq -c
	until [ "$(wc -l <"$1")" -ge 201 ]; do sleep 0.01; done
	kill $!
	wait $! 2>/dev/null
	sum <"$1"
}

redis_waiting() { # BLPOP that waits until there is something, a hundred times
	local i
	for ((i = 0; i < 100; i++)); do echo "blpop queue 10"; done | redis-cli -h ::1 -p 16380 | sum
}

redis_pushing() {
	local i
	for ((i = 0; i < 100; i++)); do echo "rpush queue value-$i"; echo "llen no_queue"; done |
		redis-cli -p 16380 | tail -n 1
}

work_redis_cli() {
	redis-cli -p 16380 flushall || return
	redis_commands | redis-cli -p 16380 2>&1 | sum
	redis_commands | redis-cli -h ::1 -p 16380 2>&1 | sum
	redis-cli -p 16380 debug digest
	redis_subscriber "$tmp/news"
	together redis_waiting redis_pushing
}

work_redis_pipe() {
	redis-cli -p 16381 flushall || return
	awk 'BEGIN {
		for (v = "abcdefgh"; length(v) < 4096; v = v v);
		for (i = 0; i < 30000; i++) {
			k = "k" i; x = substr(v, 1, i * 13 % 4000 + 1)
			printf "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", length(k), k, length(x), x
		}
	}' | redis-cli -h ::1 -p 16381 --pipe 2>&1
	redis-cli -p 16381 dbsize
	redis-cli -p 16381 debug digest
}

# wrk compares every body that it gets with the file; a body of another length is none of them.
wrk_script() {
	cat <<-'END'
		local bodies, threads = {}, {}
		for _, name in ipairs { "64", "64k", "1m" } do
		  local f = assert(io.open("/run/programs/www/" .. name, "rb"))
		  local text = f:read("*a")
		  bodies[#text] = text
		  f:close()
		end
		bad, good = 0, 0
		function setup(thread) threads[#threads + 1] = thread end
		function response(status, headers, body)
		  if status == 200 and body == bodies[#body] then good = good + 1 else bad = bad + 1 end
		end
		function done(summary)
		  local e, n, wrong = summary.errors, 0, 0
		  for _, t in ipairs(threads) do n, wrong = n + t:get("good"), wrong + t:get("bad") end
		  io.stdout:write(("RESULT some=%s wrong=%d errors=%d,%d,%d,%d,%d\n"):format(n > 0, wrong,
		    e.connect, e.read, e.write, e.status, e.timeout))
		end
	END
}

load_one() { # url: wrk for a second; again if that was too short for a single body on a busy machine
	local try said
	for try in 1 2 3 4 5; do
		said=$(wrk -t 1 -c 4 -d 1s -s "$tmp/wrk.lua" "$1" 2>&1 | sed -n "s|^RESULT|$1|p")
		[[ $said == *" some=false wrong=0 errors=0,0,0,0,0" ]] || break
	done
	echo "$said"
}

load() { # url...: each under load, all at once
	wrk_script >"$tmp/wrk.lua"
	together "${@/#/load_one }"
}

fetch_all() { # base: bodies one after the other on a connection that is kept
	curl -sS -g "$1/64" "$1/64k" "$1/1m" "$1/8m" "$1/64" "$1/64k" "$1/64" "$1/1m" 2>&1 | sum
}

work_nginx() {
	load http://127.0.0.1:18080/64 http://127.0.0.1:18080/64k http://127.0.0.1:18080/1m \
		http://[::1]:18081/64 http://127.0.0.1:18081/64k http://127.0.0.1:18081/1m
	together 'fetch_all http://127.0.0.1:18080' 'fetch_all http://[::1]:18080' \
		'fetch_all http://127.0.0.1:18081' 'fetch_all http://[::1]:18081'
}

post() { # url
	local size
	for size in 64 64k 8m; do
		curl -sS -g -H Expect: --data-binary "@$dir/www/$size" "$1" 2>&1
	done
}

# client - haproxy - nginx - nginx, and on to a Python server for what is posted
work_chain() {
	local port
	load http://127.0.0.1:18100/64 http://127.0.0.1:18100/64k http://[::1]:18101/64 \
		http://127.0.0.1:18102/64 http://127.0.0.1:18102/64k
	for port in 18100 18101 18102; do
		together "fetch_all http://127.0.0.1:$port" "fetch_all http://[::1]:$port" \
			"post http://127.0.0.1:$port/sum" "post http://[::1]:$port/sum"
	done
}

# Many streams of one connection at once.
work_http2() {
	together 'http2 127.0.0.1' 'http2 [::1]'
}

http2() { # host
	local args=() i=0 name
	for name in $(yes '64 64k 64 1m' | head -n 20); do
		args+=("https://$1:18443/$name" -o "$tmp/$1.$((i++))")
	done
	curl -sS -g --http2 --insecure --no-progress-meter --parallel --parallel-max 80 \
		-w '%{http_version} %{http_code}\n' "${args[@]}" 2>&1 | sort | uniq -c
	for ((i = 0; i < 80; i++)); do cat "$tmp/$1.$i"; done | sum
}

work_pgbench() {
	local sql="psql -X -h ::1 -p 15432 -U postgres -d bench -qAt"
	psql -X -h 127.0.0.1 -p 15432 -U postgres -qc 'create database bench' || return
	pgbench -h 127.0.0.1 -p 15432 -U postgres -i -q bench 2>&1 | tail -n 1 | sed 's/ in .*//'
	pgbench -h 127.0.0.1 -p 15432 -U postgres -n -c 4 -t 150 --random-seed=42 bench 2>&1 | grep -E '^number|rror'
	pgbench -h ::1 -p 15432 -U postgres -n -M prepared -S -c 4 -t 500 --random-seed=42 bench 2>&1 |
		grep -E '^number|rror'
	$sql -c 'select count(*), sum(delta) from pgbench_history' \
		-c 'select sum(abalance) from pgbench_accounts' -c 'select sum(bbalance) from pgbench_branches'
	psql -X -h ::1 -p 15432 -U postgres -qc 'drop database bench'
}

# Listens, and is in a query until all has been told.
psql_listen() {
	psql -X -h ::1 -p 15432 -U postgres -d copy -qAt -c 'listen news' -c "do 'begin
		while (select count(*) from told) < 20 loop perform pg_sleep(0.01); end loop; end'" \
		-c "select 'heard'" | sed 's/ received from server process.*//'
}

psql_notify() {
	local i sql="psql -X -h 127.0.0.1 -p 15432 -U postgres -d copy -qAt"
	until [ "$($sql -c "select count(*) from pg_stat_activity where query like 'do%'")" = 1 ]; do
		sleep 0.01
	done
	for ((i = 0; i < 20; i++)); do echo "notify news, 'number $i'; insert into told values ($i);"; done | $sql
}

# COPY in and out, big rows, notifications that come while the client waits in a query.
work_psql() {
	local sql="psql -X -h 127.0.0.1 -p 15432 -U postgres -d copy -qAt"
	psql -X -h ::1 -p 15432 -U postgres -qc 'create database copy' || return
	seq 1 60000 | awk '{ printf "%d\t%s\t%s\n", $1, $1 * 7919 % 60013, substr("abcdefghijklmnopqrstuvwxyz0123456789", 1, $1 % 36) }' >"$tmp/in"
	$sql -c 'create table t (a int, b int, c text)' -c "copy t from stdin" <"$tmp/in"
	$sql -c "copy (select * from t order by a) to stdout" | cmp - "$tmp/in" && sum <"$tmp/in"
	$sql -c "select count(*), sum(b), md5(string_agg(c, ',' order by a)) from t"
	$sql -c "select repeat(md5(n::text), 40000) from generate_series(1, 4) n" | sum
	$sql -c 'create table told (n int)'
	together psql_listen psql_notify
	psql -X -h ::1 -p 15432 -U postgres -qc 'drop database copy'
}

# What the receiver counts when the sender says that it is done lacks what is under way: also with TCP.
work_iperf3() {
	local args
	for args in "-c 127.0.0.1" "-c 127.0.0.1 -R" "-c ::1 -P 2" "-c ::1 -l 1000"; do
		# shellcheck disable=SC2086
		iperf3 -p 15201 -n 64M -J $args 2>&1 | python3 -c '
import json, sys
r = json.load(sys.stdin)
sent, received = (r["end"][k]["bytes"] for k in ("sum_sent", "sum_received"))
print(r.get("error"), sent >= 64 << 20, sent // 2 <= received <= sent or (sent, received))'
	done
}

ssh_options="-F none -q -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o Port=10022"

ssh_to() { # host command
	# shellcheck disable=SC2086
	ssh $ssh_options -i "$tmp/key" "root@$1" "$2"
}

ssh_copy() { # host: there and back
	# shellcheck disable=SC2086
	scp $ssh_options -i "$tmp/key" "$dir/www/8m" "root@[$1]:$tmp/there" &&
		scp $ssh_options -i "$tmp/key" "root@[$1]:$tmp/there" "$tmp/back" && sum <"$tmp/back"
}

ssh_terminal() { # host: commands one by one, at a terminal
	local i
	{
		for i in 1 2 3 4 5; do echo "echo answer \$(($i * 11))"; sleep 0.02; done
		echo exit
		# shellcheck disable=SC2086
	} | ssh -tt $ssh_options -i "$tmp/key" "root@$1" | tr -d '\r' | grep -o 'answer [0-9]*$'
}

work_ssh() {
	install -m 600 "$dir/user" "$tmp/key"
	together "ssh_to 127.0.0.1 'cat | sha256sum' <$dir/www/8m" "ssh_to ::1 'cat $dir/www/8m' | sum" \
		"seq 1 200 | sed 's/.*/echo line & \$((& * &))/' | ssh_to ::1 sh | sum" \
		"ssh_copy 127.0.0.1" "ssh_terminal 127.0.0.1"
}

work_memcached() {
	together 'python3 "$here/programs.py" memcached_async 127.0.0.1' \
		'python3 "$here/programs.py" memcached_async ::1'
}

work_memcached_blocking() {
	together 'python3 "$here/programs.py" memcached 127.0.0.1' 'python3 "$here/programs.py" memcached ::1'
}

work_python_http() {
	python3 "$here/programs.py" http 2>&1
}

work_frames() {
	python3 "$here/programs.py" frames 2>&1
}

works=$(compgen -A function work_)
[[ " ${works//[[:space:]]/ } " == *" work_$1 "* ]] || {
	echo "programs_work.sh: no work '$1' (there are: ${works//[[:space:]]/ })" | sed 's/work_//g'
	exit 2
}
tmp=$(mktemp -d "$dir/work.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
"work_$1"
echo "status $?"
