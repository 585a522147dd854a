#!/bin/sh
# Process 1 of one testbed host, inside namespaces of its own: mounts, network, PIDs, host name.
# Whatever it mounts is seen by this host only, and ends with it.
#   host-init.sh NAME DIRECTORY ADDRESS
set -eu
name=$1 directory=$2 address=$3

echo "$name" > /proc/sys/kernel/hostname

# sysfs shows the network namespace it was mounted from, and the machine's cgroups are not ours.
umount -R -l /sys
mount -t sysfs sysfs /sys

mount --bind "$directory/etc" /etc/libvirt
mount --bind "$directory/lib" /var/lib/libvirt
mount --bind "$directory/cache" /var/cache/libvirt
mount --bind "$directory/log" /var/log/libvirt
mount --bind "$directory/etc/hosts" /etc/hosts
# libvirtd's QEMU driver insists on its build-time user libvirt-qemu, also when told to use root.
mount --bind "$directory/etc/passwd" /etc/passwd
mount --bind "$directory/etc/group" /etc/group
mount --bind "$directory/run" /run

# The cable arrives from outside.
tries=0
until ip link show dev eth0 > /dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 500 ] || { echo "no eth0 after 10 s" >&2; exit 1; }
    sleep 0.02
done
ip link set dev lo up
ip address add "$address/24" dev eth0
ip link set dev eth0 up

libvirtd --listen --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirtd.pid &

# Stay, and reap what is orphaned to process 1, also when libvirtd is killed and started again.
while :; do
    wait
    sleep 1
done
