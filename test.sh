#!/bin/sh
# Runs all tests. Arguments go to cargo test. With HOIST_REQUIRE=veth, tests that need a privilege
# this user lacks fail instead of being reported as not run.
set -eu
cd "$(dirname "$0")"
scripts/install-deps.sh test
exec cargo test --workspace --locked --no-fail-fast "$@"
