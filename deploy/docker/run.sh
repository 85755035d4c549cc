#!/bin/sh
# docker run, with every file of portholefs mounted read-only:
#
#   deploy/docker/run.sh -m 512m --cpus 1 --rm -it busybox:1.36 top
#
# Written out, for seven files, this is the plain line of deploy/README.md.
set -eu

tree=${PORTHOLE_TREE:-/var/lib/porthole/fs}
if [ ! -f "$tree/proc/meminfo" ]; then
    echo "run.sh: $tree/proc/meminfo is not there: portholefs is not running (try: systemctl start portholefs)" >&2
    exit 125
fi

# The tree is the list: a file that a later version serves is mounted too. What
# is put in front of "$@" here keeps the words of the command line as they are.
for file in $(cd "$tree" && find proc sys -type f); do
    set -- --volume "$tree/$file:/$file:ro" "$@"
done
exec docker run "$@"
