#!/bin/sh
# The example of a vendor's crate outside the workspace: built, checked and tested as a vendor would,
# with the versions that hoist itself is locked to, in hoist's own target folder.
set -eu
cd "$(dirname "$0")/.."
cp Cargo.lock examples/vendor/Cargo.lock
cd examples/vendor
cargo fmt --all --check
cargo clippy -p acme --all-targets -- -D warnings
cargo test --workspace "$@"
