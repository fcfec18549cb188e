#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# programs_serve.sh ROOT - the servers, in the namespaces that programs.sh has made, and the works that
# lines of its standard input name; ends with that, and with it all that runs in there. ROOT is where
# packages have been unpacked.
#
# Everything is under /run/programs: a server's files, what it logs, the bodies to be sent. Each server
# listens on 127.0.0.1 and ::1.
set -u

. "$(dirname "$(realpath "$0")")/programs_env.sh"

start() { # name command...: in the background, if there is such a command
	local name=$1
	type -P "$2" >/dev/null || return 0
	shift
	"$@" >"$dir/$name.log" 2>&1 </dev/null &
}

listening() { # port: somebody does, within ten seconds
	local try
	for ((try = 0; try < 500; try++)); do
		ss -Hltn "sport = $1" | grep -q . && return
		sleep 0.02
	done
	echo "programs_serve.sh: nobody listens on port $1" >&2
	return 1
}

# Users whom servers expect and logs of logins, without touching the machine's.
own_system() {
	mount -t proc proc /proc && mount -t tmpfs -o mode=755 tmpfs /run &&
		mount -t tmpfs tmpfs /var/log || exit 1
	mkdir -p "$dir/www" "$dir/home" /run/sshd /run/root
	chmod 755 "$dir" "$dir/www"
	if [ -d "$1" ]; then
		mount --bind "$1" /run/root || exit 1
	fi
	printf '%s\n' "root:*:0:0:root:$dir/home:/bin/sh" "sshd:*:74:65534::/run/sshd:/bin/false" \
		"postgres:*:70:65534::$dir:/bin/sh" >"$dir/passwd"
	printf '%s:*:::::::\n' root sshd postgres >"$dir/shadow"
	mount --bind "$dir/passwd" /etc/passwd && mount --bind "$dir/shadow" /etc/shadow || exit 1
	ip link set lo up
}

bodies() {
	python3 - <<-'END'
		import random
		for name, size in ("64", 64), ("64k", 65536), ("1m", 1 << 20), ("8m", 8 << 20):
		    with open("/run/programs/www/" + name, "wb") as f:
		        f.write(random.Random(size).randbytes(size))
	END
}

serve_redis() {
	local port
	for port in 16379 16380 16381; do
		start "redis$port" redis-server --port "$port" --bind 127.0.0.1 ::1 --save '' \
			--enable-debug-command yes --dir "$dir"
	done
}

nginx_config() { # name: the parts that all have; the servers come from standard input
	mkdir -p "$dir/$1"
	cat <<-END
		daemon off; master_process off; user root; pid $dir/$1/pid; error_log $dir/$1.log;
		events { worker_connections 1024; }
		http {
			access_log off; keepalive_requests 1000000; client_max_body_size 64m;
			default_type application/octet-stream; root $dir/www;
			client_body_temp_path $dir/$1/b; proxy_temp_path $dir/$1/p; fastcgi_temp_path $dir/$1/f;
			uwsgi_temp_path $dir/$1/u; scgi_temp_path $dir/$1/s;
			$(cat)
		}
	END
}

# Two of them: nginx2 has the files, nginx1 is a proxy before it.
nginx_files() {
	nginx_config nginx2 >"$dir/nginx2.conf" <<-END
		server { listen 127.0.0.1:18080; listen [::1]:18080; sendfile on; }
		server { listen 127.0.0.1:18081; listen [::1]:18081; sendfile off; }
		server {
			listen 127.0.0.1:18443 ssl http2; listen [::1]:18443 ssl http2; sendfile on;
			ssl_certificate $dir/cert.pem; ssl_certificate_key $dir/key.pem;
		}
		server {
			listen 127.0.0.1:18082; listen [::1]:18082; sendfile on;
			location /sum { proxy_pass http://127.0.0.1:18200; }
		}
	END
	nginx_config nginx1 >"$dir/nginx1.conf" <<-END
		upstream files { server 127.0.0.1:18082; keepalive 32; }
		server {
			listen 127.0.0.1:18090; listen [::1]:18090;
			location / {
				proxy_pass http://files; proxy_http_version 1.1; proxy_set_header Connection "";
			}
		}
	END
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
		-subj /CN=localhost -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>"$dir/openssl.log"
}

serve_nginx() {
	nginx_files
	start nginx2 nginx -c "$dir/nginx2.conf" -e "$dir/nginx2.log"
	start nginx1 nginx -c "$dir/nginx1.conf" -e "$dir/nginx1.log"
}

# The sidecar: 18100 speaks HTTP, 18101 carries bytes, 18102 carries them by splice.
serve_haproxy() {
	cat >"$dir/haproxy.conf" <<-END
		defaults
			timeout connect 10s
			timeout client 60s
			timeout server 60s
		frontend http
			bind 127.0.0.1:18100
			bind ::1:18100
			mode http
			use_backend web
		backend web
			mode http
			http-reuse always
			server nginx1 127.0.0.1:18090
		listen bytes
			bind 127.0.0.1:18101
			bind ::1:18101
			mode tcp
			server nginx1 127.0.0.1:18090
		listen spliced
			bind 127.0.0.1:18102
			bind ::1:18102
			mode tcp
			option splice-auto
			server nginx1 127.0.0.1:18090
	END
	start haproxy haproxy -db -f "$dir/haproxy.conf"
}

serve_postgres() {
	type -P postgres >/dev/null || return 0
	install -d -o postgres -m 700 "$dir/pg"
	as_postgres initdb -D "$dir/pg" --no-sync -A trust -U postgres --no-locale -E UTF8 \
		>"$dir/initdb.log" 2>&1 || return
	as_postgres postgres -D "$dir/pg" -p 15432 -c listen_addresses=127.0.0.1,::1 \
		-c unix_socket_directories="$dir/pg" -c fsync=off -c timezone=GMT -c log_timezone=GMT \
		>"$dir/postgres.log" 2>&1 </dev/null &
}

serve_sshd() {
	type -P sshd >/dev/null || return 0
	ssh-keygen -q -t ed25519 -N '' -f "$dir/host" && ssh-keygen -q -t ed25519 -N '' -f "$dir/user"
	printf '%s\n' "ListenAddress 127.0.0.1:10022" "ListenAddress [::1]:10022" "HostKey $dir/host" \
		"AuthorizedKeysFile $dir/user.pub" "StrictModes no" "UsePAM no" "PidFile none" \
		"Subsystem sftp internal-sftp" "MaxStartups 100" \
		"PrintMotd no" "PrintLastLog no" >"$dir/sshd.conf"
	# which wants to be called by its whole path
	start sshd "$(type -P sshd)" -D -e -f "$dir/sshd.conf"
}

ports=()
add_ports() { # command port...: those that must answer if there is such a command
	! type -P "$1" >/dev/null || ports+=("${@:2}")
}

own_system "$1"
bodies
serve_redis
serve_nginx
serve_haproxy
serve_sshd
start memcached memcached -u root -l 127.0.0.1:11311,[::1]:11311 -I 2m -m 256 -t 2
start iperf3 iperf3 -s -p 15201
start python python3 "$here/programs.py" serve
serve_postgres
add_ports redis-server 16379 16380 16381
add_ports nginx 18080 18081 18443 18082 18090
add_ports haproxy 18100 18101 18102
add_ports sshd 10022
add_ports memcached 11311
add_ports iperf3 15201
add_ports python3 18200 18300
add_ports postgres 15432
for port in "${ports[@]}"; do
	listening "$port" || { cat "$dir"/*.log >&2; exit 1; }
done
echo ready
while read -r name file; do
	bash "$here/programs_work.sh" "$name" >"$file" 2>&1 </dev/null &
done
