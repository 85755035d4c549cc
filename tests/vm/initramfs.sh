#!/bin/sh
# Loads what the root disk needs, mounts it, and leaves everything to its init.

bb() { /bin/busybox "$@"; }
stop() { echo "initramfs: $*"; bb poweroff -f; }

bb mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do
	bb insmod "$module" || stop "cannot load $module"
done
bb mount -t ext4 /dev/vda /root || stop "cannot mount /dev/vda"
bb umount /dev
exec /bin/busybox switch_root /root /vm/init
