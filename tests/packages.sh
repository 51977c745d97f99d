#!/bin/bash
# packages.sh FILES: in a fresh chroot, installs the Debian packages of FILES/first, uses them, upgrades them to those
# of FILES/second while a server has a worker, tries the units of systemd (systemd.sh), purges all, and runs
# autopkgtest's tests of FILES/source. (tools/package)
set -eu

files=$1
mapfile -t packages < <(printf '%s\n' "$files"/first/*.deb | sed 's,.*/,,; s/_.*//') # those of debugging symbols, too
scratch=$(mktemp -d)
exec 3>&1 # what is told; all else is for when it fails

fail() {
    echo "packages: $1" >&3
    exit 1
}

tell() { echo "== $1" >&3; }

# Every file where packages put some, links too; what systemd itself writes isn't theirs.
list() {
    find /etc /lib /usr /var/lib /run -xdev ! -path '*/__pycache__*' ! -path '/var/lib/dpkg/*' \
        ! -path '/var/lib/apt/*' ! -path '/var/lib/systemd/timers*' ! -path /var/lib/systemd/linger \
        ! -path '/var/lib/private*' | LC_ALL=C sort
}

all_of() {
    local name
    for name in "${packages[@]}"; do echo "$files/$1/$name"_*.deb; done
}

install() {
    # shellcheck disable=SC2046 # words
    apt-get install -y -qq --no-install-recommends $(all_of "$1")
}

use() {
    [ "$(forkserver run echo it works)" = 'it works' ] || fail "the command doesn't run a process"
    python3 -c 'import forkserver, os
with forkserver.Server() as server: assert server.call(os.getppid) != os.getppid()' ||
        fail "the Python package doesn't call a function"
}

# The status of a worker that is older than the upgrade comes, and the old server takes requests; so does a new one.
upgrade() {
    local socket=$scratch/fork.sock server client code=0
    forkserver serve --socket "$socket" &
    server=$!
    forkserver ping --socket "$socket" --wait 60
    mkfifo "$scratch/go" "$scratch/ready"
    # shellcheck disable=SC2016 # the worker's
    forkserver run --socket "$socket" sh -c 'echo >"$0/ready"; read -r line <"$0/go"; exit 42' "$scratch" &
    client=$!
    read -r _ <"$scratch/ready"
    # shellcheck disable=SC2046 # words
    dpkg -i $(all_of second)
    dpkg-query -W -f '${Version}\n' "${packages[@]}" | grep -vF '+1' && fail "a package wasn't upgraded"
    kill -0 "$server" || fail "the server has ended with the upgrade"
    [ "$(forkserver run --socket "$socket" echo after)" = after ] || fail "the old server doesn't take a request"
    echo >"$scratch/go" # it ends
    wait "$client" || code=$?
    [ "$code" = 42 ] || fail "the worker's status came as $code"
    kill "$server"
    wait "$server" || fail "the old server has failed"
    use
}

# The first process of namespaces of its own. What it mounts is gone with it.
become_systemd() {
    local device
    mount --bind / /mnt
    cd /mnt
    mount -t proc proc proc
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs -o mode=1777 tmp tmp # systemd empties it
    mount -t tmpfs -o mode=755 run run
    mount -t tmpfs -o mode=755 dev dev
    for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
        IFS=: read -r name major minor <<<"$device"
        mknod -m 666 "dev/$name" c "$major" "$minor"
    done
    ln -s /proc/self/fd dev/fd
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
    ln -s pts/ptmx dev/ptmx
    mount -t tmpfs -o mode=1777 shm dev/shm
    exec env -i container=chroot PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /lib/systemd/systemd --system
}

is_running() {
    local state
    state=$(inside systemctl is-system-running) || true
    [ "$state" = running ] || [ "$state" = degraded ]
}

inside() {
    nsenter -t "$first" -m -p -C -u -i -n -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# Its processes end with the first one, a moment later.
end_systemd() {
    local i
    kill -KILL "$booted" || true
    wait "$booted" || true
    booted=''
    for ((i = 0; i < 100; i++)); do
        ! find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || return 0
        sleep 0.1
    done
}

units() {
    local i code=0
    cgroup=$(findmnt -n -l -o TARGET -t cgroup2 | tail -n 1)/forkserver-packages-$$
    forkserver serve --help | grep -q systemd || { tell "no units: this server knows nothing of systemd"; return; }
    mkdir "$cgroup" || { tell "no units: no control group can be made here"; return; }
    export -f become_systemd
    # shellcheck disable=SC2016 # the inner one's
    bash -c 'echo $$ >"$0/cgroup.procs"
        exec unshare --mount --pid --cgroup --uts --ipc --net --fork --kill-child --propagation unchanged \
            bash -euc become_systemd' "$cgroup" </dev/null &
    booted=$!
    for ((i = 0; i < 300; i++)); do
        read -r first _ <"/proc/$booted/task/$booted/children" || true
        [ -z "$first" ] || ! is_running || break
        sleep 0.2
    done
    inside bash "$files/source/tests/systemd.sh" >&3 2>&3 || code=$?
    end_systemd
    [ $code = 0 ] || fail "the units"
}

purge() {
    dpkg --purge "${packages[@]}"
    list >"$scratch/after"
    comm -13 "$scratch/before" "$scratch/after" >"$scratch/left"
    [ ! -s "$scratch/left" ] || { cat "$scratch/left" >&3; fail "the packages have left these files"; }
}

end() {
    [ $? = 0 ] || tail -n 40 "$scratch/log" >&3
    [ -z "$booted" ] || end_systemd
}

booted='' # the parent of systemd, which ends with it
trap end EXIT
exec >"$scratch/log" 2>&1
tell "the packages of other projects"
apt-get update -qq
apt-get install -y -qq --no-install-recommends python3 libjansson4 dbus systemd systemd-sysv
list >"$scratch/before"
tell "install and use"
install first
use
tell "upgrade below a server with a worker"
upgrade
tell "the units, below a systemd"
units
tell "purge"
purge
tell "the packages' own tests"
apt-get install -y -qq --no-install-recommends autopkgtest
# shellcheck disable=SC2046 # words
autopkgtest --summary-file "$scratch/summary" --no-built-binaries $(all_of first) "$files/source/" -- null
cat "$scratch/summary" >&3
