#!/usr/bin/env bash
# tests/debian.sh SUITE [COMMAND…]: what is committed, tested in another Debian release, in a chroot of its own that is gone afterwards.
# The mounts are in a namespace that ends with it.
set -eu
suite=${1:?which release? tests/debian.sh SUITE [COMMAND…]}
shift
[ $# -gt 0 ] || set -- ./dev test

if [ "${FORKSERVER_DEBIAN_ROOT:-}" = "" ]; then
    [ "$(id -u)" = 0 ] || { echo "debian: only root makes a chroot" >&2; exit 1; }
    FORKSERVER_DEBIAN_ROOT=$(mktemp -d)
    export FORKSERVER_DEBIAN_ROOT
    trap 'rm -rf --one-file-system "$FORKSERVER_DEBIAN_ROOT"' EXIT
    unshare --mount --propagation private -- "$0" "$suite" "$@"
    exit
fi

root=$FORKSERVER_DEBIAN_ROOT
chmod 755 "$root" # other users run tests too
# The mirror that this machine uses.
# shellcheck disable=SC2016 # apt-get's own variable
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | grep -m1 '/debian/$')
script=/usr/share/debootstrap/scripts/$suite
[ -e "$script" ] || script=${script%/*}/sid # for a release that is younger than debootstrap
echo "== $suite: debootstrap"
debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror" "$script" >"$root.log" 2>&1 ||
    { tail -n 20 "$root.log" >&2; rm -f "$root.log"; exit 1; }
rm -f "$root.log"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
mount --bind "$root/dev/pts/ptmx" "$root/dev/ptmx"
git clone -q --no-hardlinks . "$root/srv/forkserver"
# What apt has been told of the way to its mirror.
for file in $(grep -l '^Acquire' /etc/apt/apt.conf.d/*) /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
    cp -L "$file" "$root$file"
done
echo 'Acquire::Check-Valid-Until "false"; # a mirror may be old' >"$root/etc/apt/apt.conf.d/99forkserver"
chroot "$root" env -i HOME=/root LANG=C.UTF-8 CI=true PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    bash -c 'cd /srv/forkserver && exec "$@"' bash "$@"
