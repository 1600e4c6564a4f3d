#!/bin/sh
# hoist must build where no clang is: runs cargo with a PATH in which every command is, save clang.
set -eu
cd "$(dirname "$0")/.."
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
old_ifs=$IFS
IFS=:
for dir in $PATH; do
    for command in "$dir"/*; do
        case ${command##*/} in
        clang* | llc* | llvm-* | opt | opt-*) continue ;;
        esac
        if [ -x "$command" ] && [ ! -e "$bin/${command##*/}" ]; then
            ln -s "$command" "$bin/${command##*/}"
        fi
    done
done
IFS=$old_ifs
if PATH=$bin command -v clang >/dev/null; then
    echo "clang is still in PATH" >&2
    exit 1
fi
# A target directory of its own: nothing built with clang in reach is reused.
PATH=$bin cargo build --locked --target-dir target/without-clang
echo "built without clang: target/without-clang/debug/hoist"
