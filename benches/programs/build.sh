#!/bin/sh
# SPDX-License-Identifier: GPL-2.0 OR MIT
#
# Compiles the programs of the harness in this directory, in place.
#
#   build.sh               rebuild the objects
#   build.sh --check       fail unless they equal a fresh build
#
set -eu

: "${CLANG:=clang-14}" "${LLVM_STRIP:=llvm-strip-14}" "${CPU:=v3}"
here=$(cd "$(dirname "$0")" && pwd)
out=$here
check=

case "${1:-}" in
"") ;;
--check)
	check=1
	out=$(mktemp -d)
	trap 'rm -rf "$out"' EXIT
	;;
*)
	sed -n 's/^# \{0,1\}//; 4,11p' "$0" >&2
	exit 2
	;;
esac

cd "$here"
for source in *.bpf.c; do
	object=$out/${source%.c}.o
	# Line information names files relative to this directory, so that the same source gives the
	# same object wherever it lies. DWARF is dropped: BTF is what loaders read.
	"$CLANG" -target bpf -mcpu="$CPU" -O2 -g -Wall -Wextra -Wno-unused-parameter -Werror \
		-fdebug-compilation-dir=. -ffile-prefix-map="$here"=. -I ../../bpf/programs -c "$source" -o "$object"
	"$LLVM_STRIP" -g "$object"
	if [ -n "$check" ] && ! cmp -s "$object" "${source%.c}.o"; then
		echo "${source%.c}.o is not what $CLANG makes of $source: run $0" >&2
		check=failed
	fi
done

[ "$check" != failed ]
