#!/bin/bash
# systemd.sh: below a systemd of its own, tries the units of the installed packages: who may connect, a reload, a
# restart, a server that hangs, and the drop-ins that the unit's head has. (tests/packages.sh)
set -eu

socket=/run/forkserver/try.sock
service=forkserver@try.service
drop_ins=/run/systemd/system
scratch=$(mktemp -d)
chmod 755 "$scratch"

fail() {
    echo "systemd: $1"
    systemctl status --no-pager --lines=20 "$service" || true
    exit 1
}

# is WHAT WANTED FOUND
is() { [ "$2" = "$3" ] || fail "$1: '$3' instead of '$2'"; }

run() { timeout 60 forkserver run --socket "$socket" "$@"; }

as_nobody() { timeout 60 setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }

# until COMMAND…: it succeeds within a minute.
until_it() {
    local i
    for ((i = 0; i < 600; i++)); do
        ! "$@" || return 0
        read -rt 0.1 <>"$scratch/never" || true
    done
    fail "it was waited for in vain: $*"
}

property() { systemctl show --value --property "$1" "$service"; }

drop_in() {
    mkdir -p "$drop_ins/$1.d"
    cat >"$drop_ins/$1.d/try.conf"
    systemctl daemon-reload
}

answers() { run true; }

# worker: one that ends with 42 as soon as something is written to $scratch/go.
worker() {
    # shellcheck disable=SC2016 # the worker's
    run sh -c 'echo; read -r line; exit 42' <"$scratch/go" >"$scratch/ready" &
    client=$!
    read -r _ <"$scratch/ready"
}

ends_with_42() {
    local code=0
    wait "$client" || code=$?
    is "the worker's status" 42 "$code"
}

try_activation() {
    systemctl start forkserver@try.socket
    is "the service before anybody connects" inactive "$(systemctl is-active "$service")"
    answers || fail "the socket doesn't start a server"
    is "the service" active "$(systemctl is-active "$service")"
    [ "$(run id -u)" -ge 61184 ] || fail "the processes don't run as a user of their own"
    run --sandbox untrusted true || fail "a process in a sandbox doesn't run"
    ! as_nobody forkserver run --socket "$socket" true 2>"$scratch/told" || fail "anybody may connect"
}

try_reload() {
    local pid
    pid=$(property MainPID)
    worker
    systemctl reload "$service"
    answers || fail "after a reload the server doesn't answer"
    is "the main process after a reload" "$pid" "$(property MainPID)"
    echo >"$scratch/go"
    ends_with_42
}

deactivating() { [ "$(property ActiveState)" = deactivating ]; }

# The old server waits for its worker, and requests for the new server.
try_restart() {
    local restart
    worker
    systemctl restart "$service" &
    restart=$!
    until_it deactivating
    echo >"$scratch/go"
    ends_with_42
    wait "$restart"
    answers || fail "after a restart no server answers"
}

restarted() { [ "$(property NRestarts)" -ge 1 ]; }

try_watchdog() {
    drop_in "$service" <<<$'[Service]\nWatchdogSec=1'
    systemctl restart "$service"
    kill -STOP "$(property MainPID)"
    until_it restarted
    answers || fail "after it was killed for hanging, no server answers"
}

try_users() {
    drop_in forkserver@try.socket <<<$'[Socket]\nSocketGroup=nogroup'
    systemctl stop forkserver@try.socket "$service"
    systemctl start forkserver@try.socket
    [ "$(as_nobody forkserver run --socket "$socket" id -u)" -ge 61184 ] || fail "the named user may not connect"
    drop_in "$service" <<<$'[Service]\nDynamicUser=no\nCapabilityBoundingSet=~\nProtectHome=no'
    systemctl restart "$service"
    is "a client's user below a server of root's" 65534 "$(as_nobody forkserver run --socket "$socket" id -u)"
}

try_end() {
    systemctl stop forkserver@try.socket "$service"
    [ ! -e "$socket" ] || fail "the socket is still there"
    is "the service in the end" inactive "$(systemctl is-active "$service")"
    rm -r /etc/forkserver
}

mkfifo "$scratch/go" "$scratch/ready" "$scratch/never"
mkdir -p /etc/forkserver
echo 'OPTIONS="--allow-uid nobody"' >/etc/forkserver/try.conf
exec 9<>"$scratch/go" # so that opening it waits for nobody
for part in activation reload restart watchdog users end; do
    "try_$part"
    echo "systemd, $part: PASS"
done
