#!/bin/sh
# SPDX-License-Identifier: GPL-2.0 OR MIT
#
# Compiles every program of this directory into ../prebuilt, as bpf/programs/build.sh does.
#
#   build.sh           rebuild the objects in ../prebuilt
#   build.sh --check   fail unless they equal a fresh build
set -eu

: "${CLANG:=clang-14}" "${LLVM_STRIP:=llvm-strip-14}" "${CPU:=v3}"
here=$(cd "$(dirname "$0")" && pwd)
common=$(cd "$here/../../bpf/programs" && pwd)
out=$here/../prebuilt
check=

case "${1:-}" in
"") mkdir -p "$out" ;;
--check)
	check=1
	out=$(mktemp -d)
	trap 'rm -rf "$out"' EXIT
	;;
*)
	sed -n 's/^# \{0,1\}//; 4,7p' "$0" >&2
	exit 2
	;;
esac

cd "$here"
for source in *.bpf.c; do
	object=$out/${source%.c}.o
	# Line information names files relative to the two directories, so that the same source gives the
	# same object wherever it lies.
	"$CLANG" -target bpf -mcpu="$CPU" -O2 -g -Wall -Wextra -Wno-unused-parameter -Werror \
		-I ../../bpf/programs -fdebug-compilation-dir=. -ffile-prefix-map="$here"=. \
		-ffile-prefix-map="$common"=. -c "$source" -o "$object"
	"$LLVM_STRIP" -g "$object"
	if [ -n "$check" ] && ! cmp -s "$object" "../prebuilt/${source%.c}.o"; then
		echo "prebuilt/${source%.c}.o is not what $CLANG makes of $source: run $0" >&2
		check=failed
	fi
done

[ "$check" != failed ]
