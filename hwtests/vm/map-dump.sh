#!/bin/sh
# How fast a NIC's maps are read, against bpftool: seconds for a whole dump, wall clock and processor
# time. For the VM laboratory with the simulated card (docs/benchmarking.md, "Maps in a NIC"):
#
#   cargo run -p hoist-hwtests --example vm -- --netdevsim card --file target/release/hoist \
#       --file "$(command -v bpftool)" --file hwtests/vm/map-dump.sh -- sh /t/map-dump.sh
#
# ENTRIES and ROUNDS say how much.
set -e
entries=${1:-20000} rounds=${2:-9}
PATH=/t:$PATH
[ -d /sys/bus/netdevsim/devices/netdevsim1 ] || echo "1 1" >/sys/bus/netdevsim/new_device
nic=$(ls /sys/bus/netdevsim/devices/netdevsim1/net)
work=/tmp/map-dump
mkdir -p $work
grep -q ' /sys/fs/bpf bpf ' /proc/mounts || mount -t bpf bpf /sys/fs/bpf

# One dump: wall clock, user and system time, in seconds.
timed() {
	time -f '%e %U %S' "$@" >$work/out 2>$work/time || { cat $work/time >&2; exit 1; }
	tail -n 1 $work/time
}

dump() {
	case $1 in
	bpftool) timed bpftool -j map dump pinned $pin ;;
	hoist) timed hoist map dump $pin -j ;;
	esac
}

# Median of a column of a file.
median() {
	cut -d ' ' -f "$2" "$1" | sort -n | sed -n "$(((rounds + 1) / 2))p"
}

for kind in hash array; do
	pin=/sys/fs/bpf/$kind
	rm -f $pin
	bpftool map create $pin type $kind key 4 value 8 entries "$entries" name $kind dev "$nic"
	awk -v n="$entries" -v pin=$pin 'BEGIN {
		for (i = 0; i < n; i++)
			printf "map update pinned %s key hex %02x %02x %02x 00 value hex %02x 1 2 3 4 5 6 7\n",
				pin, i % 256, int(i / 256) % 256, int(i / 65536), i % 251
	}' >$work/fill
	bpftool batch file $work/fill >/dev/null
	rm -f $work/bpftool $work/hoist
	for round in $(seq "$rounds"); do
		order="bpftool hoist"
		[ $((round % 2)) = 0 ] && order="hoist bpftool"
		for tool in $order; do dump $tool >>$work/$tool; done
	done
	for tool in bpftool hoist; do
		echo "$kind $entries entries, $tool: wall $(median $work/$tool 1) user $(median $work/$tool 2)" \
			"system $(median $work/$tool 3) s (median of $rounds)"
	done
	rm -f $pin
done
