#!/bin/sh
# Each crate makes a complete package: the first passes lists and archives all of them, the second
# builds from its archive the one that carries prebuilt objects and licences of its own.
set -eu
cd "$(dirname "$0")/.."
cargo package --workspace --locked --allow-dirty --no-verify
cargo package -p hoist-bpf --locked --allow-dirty
