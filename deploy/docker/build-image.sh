#!/bin/sh
# Makes the container image of portholefs, with no registry and no container
# engine: a static binary and a few empty directories, as the archive that
# `docker load`, `podman load` and `ctr --namespace k8s.io images import` take.
#
#   deploy/docker/build-image.sh [ARCHIVE]          (default: target/portholefs-image.tar)
#
# PORTHOLEFS=FILE takes that binary, which must be static, and builds nothing.
set -eu

cd "$(dirname "$0")/../.."
archive=${1:-target/portholefs-image.tar}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
target=$(rustc -vV | sed -n 's/^host: //p')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -z "${PORTHOLEFS:-}" ]; then
    # With --target the flag does not reach build scripts and procedural macros,
    # which cannot be static.
    RUSTFLAGS="-C target-feature=+crt-static" \
        cargo build --release --locked --package procfs-fuse --bin portholefs --target "$target"
    PORTHOLEFS=${CARGO_TARGET_DIR:-target}/$target/release/portholefs
fi
if readelf -l "$PORTHOLEFS" | grep -q INTERP; then
    echo "build-image.sh: $PORTHOLEFS needs a dynamic loader, which the image does not have (leave PORTHOLEFS unset to build a static one)" >&2
    exit 1
fi

case $target in
    x86_64-*) architecture=amd64 ;;
    aarch64-*) architecture=arm64 ;;
    *) echo "build-image.sh: no image architecture is known for $target" >&2; exit 1 ;;
esac

# Same bytes for the same binary: no times and no names of the builder.
layer() { tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$1" -cf "$2" .; }

root=$work/root
mkdir -p "$root/usr/bin" "$root/var/lib/porthole" "$root/proc" "$root/sys/fs/cgroup" "$root/dev" "$root/run" "$root/etc"
install -m 755 "$PORTHOLEFS" "$root/usr/bin/portholefs"

image=$work/image
mkdir "$image"
layer "$root" "$image/layer.tar"
diff_id=$(sha256sum "$image/layer.tar" | cut -d ' ' -f 1)
cat > "$image/config.json" <<CONFIG
{
  "architecture": "$architecture",
  "os": "linux",
  "config": {
    "Entrypoint": ["/usr/bin/portholefs"],
    "Cmd": ["serve", "/var/lib/porthole/fs"],
    "Labels": {
      "org.opencontainers.image.title": "portholefs",
      "org.opencontainers.image.version": "$version",
      "org.opencontainers.image.licenses": "Apache-2.0 OR MIT"
    }
  },
  "rootfs": {"type": "layers", "diff_ids": ["sha256:$diff_id"]},
  "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "deploy/docker/build-image.sh"}]
}
CONFIG
config_id=$(sha256sum "$image/config.json" | cut -d ' ' -f 1)
mv "$image/config.json" "$image/$config_id.json"
cat > "$image/manifest.json" <<MANIFEST
[{"Config": "$config_id.json", "RepoTags": ["localhost/portholefs:$version"], "Layers": ["layer.tar"]}]
MANIFEST

mkdir -p "$(dirname "$archive")"
layer "$image" "$archive"
echo "$archive: localhost/portholefs:$version ($(du -h "$archive" | cut -f 1))"
