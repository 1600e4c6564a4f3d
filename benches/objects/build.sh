#!/bin/sh
# SPDX-License-Identifier: GPL-2.0 OR MIT
#
# Compiles the programs of this directory that only benches run. The small ones are of -mcpu=v2, which
# other virtual machines take too.
set -eu

: "${CLANG:=clang-14}" "${LLVM_STRIP:=llvm-strip-14}"
cd "$(dirname "$0")"
for source in *.bpf.c; do
	object=${source%.c}.o
	cpu=v2
	[ "$source" != large.bpf.c ] || cpu=v3
	"$CLANG" -target bpf -mcpu="$cpu" -O2 -g -Wall -Wextra -Werror -fdebug-compilation-dir=. \
		-ffile-prefix-map="$PWD"=. -I ../../bpf/programs -c "$source" -o "$object"
	"$LLVM_STRIP" -g "$object"
done
