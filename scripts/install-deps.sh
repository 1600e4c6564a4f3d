#!/bin/sh
# Installs what building, or building and testing, needs and this machine lacks; says what.
#   scripts/install-deps.sh build    a C compiler and the two libraries libbpf links to
#   scripts/install-deps.sh test     the above, and the tools the tests compare hoist with
#   scripts/install-deps.sh vm       the above, and what boots other kernels in a virtual machine;
#                                    these are no loss elsewhere: tests of that tier say "not run"
set -eu

group=${1:-build}
case $group in
build | test | vm) ;;
*)
    echo "usage: $0 [build|test|vm]" >&2
    exit 2
    ;;
esac

rust_version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$(dirname "$0")/../Cargo.toml")
if ! command -v cargo >/dev/null 2>&1; then
    echo "cargo is missing: install Rust $rust_version or later, for example from https://rustup.rs," >&2
    echo "and see that cargo is in PATH of $(id -un)" >&2
    exit 1
fi

packages=
# want PACKAGE WHY TEST...: remembers the package when TEST fails.
want() {
    package=$1
    why=$2
    shift 2
    if ! "$@" >/dev/null 2>&1; then
        packages="$packages $package"
        printf '  %-15s %s\n' "$package" "$why"
    fi
}
has() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1"; }
has_header() { printf '#include <%s>\n' "$1" | cc -E - ; }
has_object() { ls /usr/lib/*/bpf/"$1"; }

want ca-certificates "lets cargo trust where crates come from" \
    test -e /etc/ssl/certs/ca-certificates.crt
want gcc "the C compiler for libbpf" has cc
want libc6-dev "C headers" has_header stdio.h
want make "builds libbpf" has make
want pkg-config "finds the two libraries below" has pkg-config
want libelf-dev "ELF files, for libbpf" has_header libelf.h
want zlib1g-dev "compressed sections, for libbpf" has_header zlib.h
if [ "$group" != build ]; then
    want clang-14 "compiles the BPF programs, to compare with the committed objects" has clang-14
    want llvm-14 "llvm-strip, which takes DWARF out of them" has llvm-strip-14
    want clang-19 "the same for BPF instruction set version 4" has clang-19
    want llvm-19 "its llvm-strip" has llvm-strip-19
    want libxdp1 "xdpfilt_*.o, xdp-dispatcher.o, xsk_def_xdp_prog.o: objects of others" \
        has_object xdp-dispatcher.o
    want xdp-tools "xdp-loader: attaches the dispatcher that hoist must understand" has xdp-loader
    want bpftool "reads back what hoist attached" has bpftool
    want iproute2 "ip: namespaces and attachments made by somebody else" has ip
    want procps "kill, which ends what a test started" test -x /bin/kill
    want ethtool "reads back device settings" has ethtool
fi
if [ "$group" = vm ]; then
    want qemu-system-x86 "the virtual machine" has qemu-system-x86_64
    want busybox-static "its commands" has busybox
    want kmod "dependencies of kernel modules" has depmod
    want xz-utils "unpacks modules and sources" has xz
    want patch "adds the simulated card to netdevsim" has patch
fi

if [ -z "$packages" ]; then
    exit 0
fi
echo "The Debian packages above are missing."
if ! command -v apt-get >/dev/null 2>&1; then
    echo "There is no apt-get here: install their counterparts of your distribution." >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "Install them as root: apt-get install$packages" >&2
    exit 1
fi
echo "Installing them: apt-get install --no-install-recommends$packages"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
# shellcheck disable=SC2086 # one word per package
apt-get -qq install -y --no-install-recommends $packages >/dev/null
