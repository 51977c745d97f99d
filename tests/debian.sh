#!/usr/bin/env bash
# tests/debian.sh SUITE [COMMAND…]: what is committed, tested in another release of Debian, in a chroot made for it.
# tests/debian.sh --kernel SUITE [COMMAND…]: in this release of Debian with the other one's kernel, in an emulated machine.
# tests/debian.sh --arm64 SUITE [COMMAND…]: in another release of Debian for aarch64, in an emulated machine of that kind.
# What is mounted is so in a namespace that ends with it.
set -eu

if [ "${FORKSERVER_DEBIAN_ROOT:-}" = "" ]; then
    [ "$(id -u)" = 0 ] || { echo "debian: only root makes a chroot" >&2; exit 1; }
    FORKSERVER_DEBIAN_ROOT=$(mktemp -d)
    export FORKSERVER_DEBIAN_ROOT
    trap 'rm -rf --one-file-system "$FORKSERVER_DEBIAN_ROOT" "$FORKSERVER_DEBIAN_ROOT".*' EXIT
    unshare --mount --propagation private -- "$0" "$@"
    exit
fi

kernel='' arch=$(dpkg --print-architecture)
case ${1:-} in
--kernel)
    kernel=${2:?which release? tests/debian.sh --kernel SUITE [COMMAND…]}
    suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    shift
    ;;
--arm64)
    kernel=${2:?which release? tests/debian.sh --arm64 SUITE [COMMAND…]}
    suite=$kernel arch=arm64
    shift
    ;;
*) suite=${1:?which release? tests/debian.sh SUITE [COMMAND…]} ;;
esac
shift
root=$FORKSERVER_DEBIAN_ROOT
# shellcheck disable=SC2016 # apt-get's own variable
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | grep -m1 '/debian/$')

# Programs of that kind run by qemu-aarch64, until we end.
register_arm64() {
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    sed 's/^:[^:]*/:forkserver-arm64/' /usr/lib/binfmt.d/qemu-aarch64.conf >/proc/sys/fs/binfmt_misc/register
    trap 'echo -1 >/proc/sys/fs/binfmt_misc/forkserver-arm64' EXIT
}

make_root() {
    local script=/usr/share/debootstrap/scripts/$suite log=$root.log
    [ -e "$script" ] || script=${script%/*}/sid # for a release that is younger than debootstrap
    echo "== $suite: debootstrap"
    debootstrap --arch="$arch" --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror" "$script" >"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; exit 1; }
    chmod 755 "$root" # other users run tests too
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
    mount --bind "$root/dev/pts/ptmx" "$root/dev/ptmx"
    # What apt has been told of the way to its mirror.
    for file in $(grep -l '^Acquire' /etc/apt/apt.conf.d/*) /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
        cp -L "$file" "$root$file"
    done
    echo 'Acquire::Check-Valid-Until "false"; # a mirror may be old' >"$root/etc/apt/apt.conf.d/99forkserver"
    git clone -q --no-hardlinks . "$root/srv/forkserver"
}

inside() {
    chroot "$root" env -i HOME=/root LANG=C.UTF-8 CI=true DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        bash -c 'cd /srv/forkserver && exec "$@"' bash "$@"
}

# The image's first process. What it says at the end is how we learn of the command's exit status.
write_init() {
    cat >"$root/srv/init" <<'TEXT'
#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 CI=true FORKSERVER_TEST_PATIENCE=5
mountpoint -q /sys || mount -t sysfs sys /sys # the initrd has brought that and /proc
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tmpfs -o mode=1777 tmp /tmp
mkdir -p /dev/shm /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t devpts -o ptmxmode=0666,mode=0620,gid=5 devpts /dev/pts
for link in /dev/ptmx:pts/ptmx /dev/fd:/proc/self/fd /dev/stdin:fd/0 /dev/stdout:fd/1 /dev/stderr:fd/2; do
    ln -sfn "${link#*:}" "${link%:*}"
done
ip link set lo up
uname -sr
cd /srv/forkserver
setsid -w bash /srv/command </dev/null
echo "command ended: $?"
sync
echo o >/proc/sysrq-trigger
sleep 60
TEXT
    chmod +x "$root/srv/init"
    printf '%q ' "$@" >"$root/srv/command"
}

run_machine() {
    echo "== the kernel of $kernel"
    [ "$kernel" = "$suite" ] || echo "deb $mirror $kernel main" >>"$root/etc/apt/sources.list"
    inside apt-get update -qq
    inside apt-get install -y -qq --no-install-recommends iproute2 initramfs-tools zstd "linux-image-$arch/$kernel" >"$root.log" 2>&1 ||
        { tail -n 20 "$root.log" >&2; exit 1; }
    inside ./dev packages
    inside ./dev build
    [ $# -gt 0 ] || set -- /usr/bin/python3 -m pytest -q -rs -p no:cacheprovider tests
    write_init "$@"
    umount -R "$root/dev" "$root/sys" "$root/proc"
    truncate -s 8G "$root.image"
    mke2fs -q -t ext4 -d "$root" "$root.image"
    local machine=(qemu-system-x86_64 -cpu max) console=ttyS0
    [ "$arch" != arm64 ] || machine=(qemu-system-aarch64 -machine virt -cpu neoverse-n1) console=ttyAMA0
    "${machine[@]}" -accel tcg,thread=multi -smp 2 -m 8G -nographic -no-reboot -net none \
        -kernel "$root"/boot/vmlinuz-* -initrd "$root"/boot/initrd.img-* -drive "file=$root.image,if=virtio,format=raw,cache=unsafe" \
        -append "root=/dev/vda rw init=/srv/init console=$console quiet panic=-1" </dev/null | tee "$root.log"
    grep -q '^command ended: 0' "$root.log"
}

[ "$arch" != arm64 ] || register_arm64
make_root
if [ "$kernel" ]; then
    run_machine "$@"
else
    [ $# -gt 0 ] || set -- ./dev test
    inside "$@"
fi
