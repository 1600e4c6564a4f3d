#!/bin/sh
# Builds hoist and runs its demo: a veth pair in namespaces of its own, real packets, every engine.
set -eu
cd "$(dirname "$0")"
scripts/install-deps.sh build
cargo build --release --locked
exec target/release/hoist demo "$@"
