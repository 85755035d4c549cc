#!/bin/busybox sh
# The VM's process 1: a pure cgroup v2 machine, /vm/command, and a verdict on
# the last line of the console. No such line means that the machine died.

bb() { /bin/busybox "$@"; }
verdict() {
	echo "init: $1"
	bb sync
	bb poweroff -f
	# Process 1 must never return.
	while :; do bb sleep 1; done
}
must() { "$@" || { echo "init: cannot run: $*"; verdict failure; }; }

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root TERM=linux LANG=C.UTF-8

must bb mount -t proc proc /proc
must bb mount -t sysfs sysfs /sys
must bb mount -t devtmpfs devtmpfs /dev
must bb mkdir -p /dev/pts /dev/shm
must bb mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
must bb mount -t tmpfs tmpfs /dev/shm
must bb mount -t tmpfs tmpfs /run
must bb mount -t tmpfs tmpfs /tmp
must bb mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
for controller in cpu cpuset io memory pids; do
	# A kernel without one of them is a machine to test on too.
	echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null
done

must bb ip link set lo up
must bb hostname porthole-vm
[ -b "$VM_SWAP" ] && must bb swapon "$VM_SWAP"

if [ "$VM_STDIN" = 1 ]; then
	bb setsid bb cttyhack /vm/command
else
	/vm/command </dev/null
fi && verdict success || verdict failure
