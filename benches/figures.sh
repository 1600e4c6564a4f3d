#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Takes every figure of docs/benchmarking.md and of the README anew. Run it as root on a machine that
# does nothing else; it takes about half an hour.
#
#   benches/figures.sh             all of them
#   benches/figures.sh test-run    those figures of hoist-compare, and no criterion bench
set -eu
cd "$(dirname "$0")/.."

cargo build --release --locked --package hoist --package hoist-benches

# Real-time priority for both sides, so that nothing else runs in between.
compare() {
	chrt -f 50 target/release/hoist-compare "$@"
}

if [ $# -gt 0 ]; then
	compare "$@"
	exit
fi

uname -sr
uptime
for bench in parse plan translate map_copy; do
	printf '\n== %s\n' "$bench"
	cargo bench --locked --package hoist-benches --bench "$bench" -- --quick
done
# The userspace engine's machine beside rbpf and the kernel.
printf '\n== vm\n'
chrt -f 50 cargo bench --locked --package hoist-benches --features rbpf --bench vm
# The memory of its maps.
cargo test --locked --package hoist-fallback --test maps_memory -- --nocapture
compare
uptime
