#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# containers_image.sh ARCHIVE IMAGE=FILE,FILE... - makes images without a registry: one archive, in the
# format of `docker save`, that `ctr images import` takes.
#
# They share a layer with busybox and all its names; another has the given programs in /bin and the libraries
# that they need. No two have the same content: containerd takes those for one, with the first one's name.
set -eu

archive=$1
shift
busybox=$(PATH=/bin:/usr/bin:$PATH type -P busybox)
machine=$(uname -m)-linux-gnu
work=$(mktemp -d "$archive.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Those that are loaded with a program, which may be unpacked somewhere with libraries of its own.
libraries() { # program
	local own
	own=$(realpath "${1%/*}/../lib/$machine" 2>/dev/null) || own=''
	LD_LIBRARY_PATH=$own${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} ldd "$1" 2>/dev/null | grep -o '/[^ ]*' || true
}

add_program() { # layer program: libraries where every loader looks, the loader where the program looks
	local library to
	cp "$2" "$1/bin/"
	libraries "$2" | while read -r library; do
		to=$1/usr/lib/$machine
		[[ ${library##*/} != ld-* ]] || to=$1${library%/*}
		mkdir -p "$to"
		cp -n -L "$library" "$to/"
	done
}

base_layer() { # layer
	mkdir -p "$1"/{bin,etc,tmp,proc,sys,dev,run,www,var/log}
	chmod 1777 "$1/tmp"
	cp "$busybox" "$1/bin/"
	"$1/bin/busybox" --install "$1/bin"
	echo 'root:*:0:0:root:/:/bin/sh' >"$1/etc/passwd"
	echo 'root:*:0:' >"$1/etc/group"
}

layer() { # name command...: made by the command, which gets its directory first
	local dir=$work/layer
	mkdir "$dir"
	"$2" "$dir" "${@:3}"
	tar -C "$dir" --owner=0 --group=0 --numeric-owner -cf "$work/$1.tar" .
	rm -r "$dir"
	layers+="${layers:+,}\"$1.tar\""
	sums+="${sums:+,}\"sha256:$(sha256sum "$work/$1.tar" | cut -c 1-64)\""
}

programs_layer() { # layer image program...
	local program
	mkdir "$1/bin" "$1/etc"
	echo "$2" >"$1/etc/image"
	for program in "${@:3}"; do
		add_program "$1" "$program"
	done
}

add_image() { # number image program...
	local layers=$base_layers sums=$base_sums
	layer "$1" programs_layer "${@:2}"
	printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["/bin/sleep","inf"]},
		"rootfs":{"type":"layers","diff_ids":[%s]}}' "$architecture" "$sums" >"$work/$1.json"
	manifest+="${manifest:+,}{\"Config\":\"$1.json\",\"RepoTags\":[\"$2\"],\"Layers\":[$layers]}"
}

architecture=$(dpkg --print-architecture)
layers='' sums=''
layer base base_layer
base_layers=$layers base_sums=$sums
manifest=''
number=0
for image; do
	IFS=, read -r -a programs <<<"${image#*=}"
	add_image "$number" "${image%%=*}" "${programs[@]}"
	number=$((number + 1))
done
echo "[$manifest]" >"$work/manifest.json"
tar -C "$work" -cf "$archive" .
