#!/bin/sh
# Runs all tests. Arguments go to cargo test. What cannot run here is reported as not run; with
# HOIST_REQUIRE=veth,vm it fails instead (veth: privileges; vm: kernels in virtual machines).
set -eu
cd "$(dirname "$0")"
# Virtual machines are for x86-64, from Debian's packages; all else is tested without.
if [ "$(uname -m)" = x86_64 ] && command -v apt-get >/dev/null 2>&1; then
    scripts/install-deps.sh vm
else
    scripts/install-deps.sh test
fi
exec cargo test --workspace --locked --no-fail-fast "$@"
