#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# containers_image.sh ARCHIVE IMAGE=FILE,FILE...... - makes images without a registry: one archive, in the
# format of `docker save`, that `ctr images import` takes.
#
# Each image is one layer: busybox with all its names, the given programs in /bin, and the libraries that
# they need. No two have the same content: containerd takes those for one, with the first one's name.
set -eu

archive=$1
shift
busybox=$(PATH=/bin:/usr/bin:$PATH type -P busybox)
work=$(mktemp -d "$archive.XXXXXX")
trap 'rm -rf "$work"' EXIT

libraries() { # program: those that are loaded with it, the loader among them
	ldd "$1" 2>/dev/null | grep -o '/[^ ]*' || true
}

add_program() { # layer program
	local library
	cp "$2" "$1/bin/"
	libraries "$2" | while read -r library; do
		mkdir -p "$1${library%/*}"
		cp -n -L "$library" "$1$library"
	done
}

add_layer() { # layer image program...
	local layer=$1 image=$2 program
	shift 2
	mkdir -p "$layer"/{bin,etc,tmp,proc,sys,dev,run,www,var/log}
	chmod 1777 "$layer/tmp"
	cp "$busybox" "$layer/bin/busybox"
	"$busybox" --list | grep -vx busybox | while read -r program; do
		ln "$layer/bin/busybox" "$layer/bin/$program"
	done
	echo "$image" >"$layer/etc/image"
	echo 'root:*:0:0:root:/:/bin/sh' >"$layer/etc/passwd"
	for program; do
		rm -f "$layer/bin/${program##*/}"
		add_program "$layer" "$program"
	done
}

add_image() { # number image program...
	local layer=$work/layer.$1 sum
	add_layer "$layer" "${@:2}"
	tar -C "$layer" --owner=0 --group=0 --numeric-owner -cf "$work/$1.tar" .
	rm -r "$layer"
	sum=$(sha256sum "$work/$1.tar" | cut -c 1-64)
	printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["/bin/sleep","inf"]},
		"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$(dpkg --print-architecture)" "$sum" >"$work/$1.json"
	manifest+="${manifest:+,}{\"Config\":\"$1.json\",\"RepoTags\":[\"$2\"],\"Layers\":[\"$1.tar\"]}"
}

manifest=''
number=0
for image; do
	IFS=, read -r -a programs <<<"${image#*=}"
	add_image "$number" "${image%%=*}" "${programs[@]}"
	number=$((number + 1))
done
echo "[$manifest]" >"$work/manifest.json"
tar -C "$work" -cf "$archive" .
