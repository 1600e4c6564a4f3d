#!/bin/sh
# SPDX-License-Identifier: GPL-2.0 OR MIT
#
# Compiles the three forms of the runtime into ../prebuilt.
#
#   build.sh               rebuild the objects in ../prebuilt
#   build.sh --check       fail unless they equal a fresh build
#
# The compiler decides the bytes: CLANG, LLVM_STRIP and CPU (-mcpu) may be set in the environment;
# what is committed comes from the defaults.
set -eu

: "${CLANG:=clang-14}" "${LLVM_STRIP:=llvm-strip-14}" "${CPU:=v3}"
here=$(cd "$(dirname "$0")" && pwd)
committed=$here/../prebuilt
built=$committed

case "${1:-}" in
"") ;;
--check)
	built=$(mktemp -d)
	trap 'rm -rf "$built"' EXIT
	;;
*)
	sed -n 's/^# \{0,1\}//; 4,7p' "$0" >&2
	exit 2
	;;
esac

# Line information names files relative to this directory, so that the same source gives the same
# object wherever it lies. DWARF is dropped: BTF is what loaders read.
build() {
	object=$1
	shift
	"$CLANG" -target bpf -mcpu="$CPU" -O2 -g -Wall -Wextra -Wno-unused-parameter -Werror "$@" \
		-fdebug-compilation-dir=. -ffile-prefix-map="$here"=. -c runtime.bpf.c -o "$built/$object"
	"$LLVM_STRIP" -g "$built/$object"
	if [ "$built" != "$committed" ] && ! cmp -s "$built/$object" "$committed/$object"; then
		echo "prebuilt/$object is not what $CLANG makes of runtime.bpf.c: run $0" >&2
		exit 1
	fi
}

cd "$here"
build runtime.bpf.o
# For kernels whose bpf_skb_vlan_push leaves the network header where it is (buffer.h).
build runtime_older.bpf.o -DPUSH_LEAVES_NETWORK_HEADER=1
# For processes without CAP_PERFMON (kernel.h), on either kind of kernel.
build runtime_constant.bpf.o -DPUSH_LEAVES_NETWORK_HEADER=1 -DCONSTANT_OFFSETS=1
