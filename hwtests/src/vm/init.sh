#!/bin/busybox sh
# The first process of a machine: mounts what tests expect, loads modules, runs /script, ends.
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin 2>/dev/null
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root TERM=${TERM:-linux} LC_ALL=C.UTF-8
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /run/netns /dev/pts /dev/net
mount -t devpts pts /dev/pts
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t debugfs debug /sys/kernel/debug
mount -t tracefs trace /sys/kernel/tracing
echo /bin/modprobe >/proc/sys/kernel/modprobe
modprobe dummy numdummies=0 2>/dev/null
for module in af_packet ipv6 veth tun sch_ingress sch_clsact cls_bpf cls_matchall act_gact \
    act_mirred bridge 8021q virtio_pci virtio_net psample; do
    modprobe "$module" 2>/dev/null
done
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
if [ -e /netdevsim.ko ]; then insmod /netdevsim.ko; fi
ip link set lo up
dash /script
poweroff -f
