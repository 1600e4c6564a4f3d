#!/bin/sh
# SPDX-License-Identifier: GPL-2.0 OR MIT
#
# Compiles the test objects of this directory: build.sh [DIR]
#
# CLANG and CPU (-mcpu) may be set in the environment; what is committed comes from the defaults.
set -eu

: "${CLANG:=clang-14}" "${LLVM_STRIP:=llvm-strip-14}" "${CPU:=v3}"
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "${1:-$here}" && pwd)

cd "$here"
for source in *.bpf.c; do
	object=$out/${source%.c}.o
	"$CLANG" -target bpf -mcpu="$CPU" -O2 -g -Wall -Wno-unused -Werror \
		-fdebug-compilation-dir=. -ffile-prefix-map="$here"=. -c "$source" -o "$object"
	"$LLVM_STRIP" -g "$object"
done
