#!/bin/sh
# SPDX-License-Identifier: GPL-2.0 OR MIT
#
# Compiles the programs of this directory. They need the headers of libbpf (libbpf-dev).
set -eu

: "${CLANG:=clang-14}" "${LLVM_STRIP:=llvm-strip-14}" "${CPU:=v3}"
here=$(cd "$(dirname "$0")" && pwd)

cd "$here"
for source in *.bpf.c; do
	object=${source%.c}.o
	"$CLANG" -target bpf -mcpu="$CPU" -O2 -g -Wall -Werror -I "/usr/include/$(uname -m)-linux-gnu" \
		-fdebug-compilation-dir=. -ffile-prefix-map="$here"=. -c "$source" -o "$object"
	"$LLVM_STRIP" -g "$object"
done
