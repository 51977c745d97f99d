# shellcheck shell=bash disable=SC2034 # others use the lists
# What the scripts here share. In the repository's root, with set -eu: . tools/common.sh

# Debian's own, whatever else is on the PATH: python3-pytest and meson are its packages.
PYTHON=/usr/bin/python3
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

BUILD_PACKAGES=(gcc libc6-dev meson ninja-build pkg-config uthash-dev libjansson-dev python3)
TEST_PACKAGES=("${BUILD_PACKAGES[@]}" libmagic-dev findutils python3-dev libcmocka-dev libjemalloc2 libopenblas0-pthread
    python3-pytest g++ rustc procps util-linux git patch valgrind fakeroot faketime beanstalkd scdoc groff-base
    gdb systemtap-sdt-dev cmake systemd)
# What more the tests of the man pages and of the completions use, where it is there.
MANUAL_PACKAGES=(mandoc man-db zsh fish)
PYTHON_PACKAGES=("${BUILD_PACKAGES[@]}" python3-dev)
DEMO_PACKAGES=("${PYTHON_PACKAGES[@]}" python3-pandas gnuplot-nox findutils)
# What the tests of the Python package use: the demo, numpy, pytest, CPython's own suites, and what builds a wheel.
PYTHON_TEST_PACKAGES=("${DEMO_PACKAGES[@]}" python3-numpy python3-pil python3-pytest python3-venv python3-pip
    python3-mesonpy python3-build patchelf python3-distributed iproute2)
BENCH_PACKAGES=("${DEMO_PACKAGES[@]}" afl++ jq bubblewrap)
# What the tests below Slurm need; root alone can run them.
SLURM_PACKAGES=("${BUILD_PACKAGES[@]}" slurmctld slurmd slurm-client munge iproute2 util-linux)
# What builds and looks at the packages of distributions.
PACKAGE_PACKAGES=("${PYTHON_PACKAGES[@]}" build-essential debhelper dh-python dpkg-dev fakeroot git lintian
    rpm scdoc)
FUZZ_PACKAGES=("${BUILD_PACKAGES[@]}" clang libclang-rt-dev)
LINT_PACKAGES=("${TEST_PACKAGES[@]}" "${FUZZ_PACKAGES[@]}" clang-format)
LONG_LINT_PACKAGES=("${LINT_PACKAGES[@]}" clang-tidy cppcheck shellcheck gcc-aarch64-linux-gnu libc6-dev-arm64-cross)

yes=${FORKSERVER_YES:-false}
stale=false # packages came, and Meson remembers for ever what it did not find

# The packages among the arguments that are not there yet.
missing() {
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

need() {
    command -v dpkg-query >/dev/null || return 0 # not Debian: Meson says what it lacks
    local packages
    packages=$(missing "$@" | sort -u | tr '\n' ' ')
    [ -n "${packages// /}" ] || return 0
    echo "Missing packages: $packages"
    if ! $yes && [ "${CI:-}" != true ] && [ -t 0 ]; then
        read -r -p "Install them by apt-get? [Y/n] " answer
        case $answer in [nN]*) exit 1 ;; esac
    fi
    local root=
    [ "$(id -u)" = 0 ] || root=sudo
    $root apt-get update -qq
    stale=true
    # shellcheck disable=SC2086 # a list of words
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
}

# The package of CPython's own suites bears the version.
need_for_python() {
    need "${PYTHON_TEST_PACKAGES[@]}"
    need "libpython$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-testsuite"
}

# Meson says on standard output what is wrong.
set_up() {
    local text
    text=$(meson setup "$@" 2>&1) || { echo "$text" >&2; return 1; }
}

# build_in DIRECTORY [OPTION…] [-- TARGET…]: set up once, and again when packages came, then compile.
build_in() {
    local directory=$1 options=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    [ $# -eq 0 ] || shift
    if [ ! -f "$directory/build.ninja" ]; then
        set_up "$directory" "${options[@]}"
    elif $stale; then
        set_up --wipe "$directory"
    fi
    ninja -C "$directory" "$@" | grep -v '^ninja: Entering' | tail -n 40 || true
    ninja -C "$directory" "$@" >/dev/null
}

build() {
    build_in build
}

# The option by which pkg-config still finds all when the installed prefix was moved. Meson has it from 0.63 on.
relocatable() {
    ! printf '%s\n' 0.63 "$(meson --version)" | sort -VC || echo -Dpkgconfig.relocatable=true
}

build_asan() {
    build_in build-asan -Db_sanitize=address,undefined -Db_lundef=false
}

# As it would be installed, with the Python package.
build_release() {
    # shellcheck disable=SC2046 # a word, or none
    build_in build-python --buildtype release -Dtests=false -Dexamples=disabled -Dpython=enabled \
        "-Dpython_interpreter=$PYTHON" $(relocatable)
}

# The package as it would be installed, below build-python/root; prints the directory to put on PYTHONPATH.
build_package() {
    build_release >&2
    rm -rf build-python/root
    DESTDIR=$PWD/build-python/root meson install -C build-python --tags python --no-rebuild --quiet >&2
    dirname "$(find "$PWD/build-python/root" -type d -name forkserver)"
}
