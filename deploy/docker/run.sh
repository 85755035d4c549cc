#!/bin/sh
# docker run, with the files of portholefs mounted read-only:
#
#   deploy/docker/run.sh -m 512m --cpus 1 --rm -it busybox:1.36 top
#
# Written out, for what matters most, this is the plain line of deploy/README.md.
set -eu

tree=${PORTHOLE_TREE:-/var/lib/porthole/fs}
if [ ! -f "$tree/proc/meminfo" ]; then
    echo "run.sh: $tree/proc/meminfo is not there: portholefs is not running (try: systemctl start portholefs)" >&2
    exit 125
fi

# The tree is the list, but for what runc refuses: below /proc it lets only these
# be mounted on. Of /sys whole directories are mounted (sys/devices/system/cpu), and
# nothing inside them; and what iostat reads of each block device with a medium. What is
# put in front of "$@" keeps the words of the command line.
for file in $(cd "$tree" && find proc -type f && find sys/devices/system -mindepth 1 -maxdepth 1 &&
    find sys -path sys/devices/system -prune -o -type f -print); do
    case $file in
        proc/cpuinfo | proc/diskstats | proc/loadavg | proc/meminfo) ;;
        proc/slabinfo | proc/stat | proc/swaps | proc/uptime) ;;
        proc/*) continue ;;
        sys/*/stat) [ "$(cat "/${file%stat}size")" != 0 ] || continue ;;
    esac
    # Names of devices have colons, which --volume takes for its own.
    set -- --mount "type=bind,src=$tree/$file,dst=/$file,readonly" "$@"
done
exec docker run "$@"
