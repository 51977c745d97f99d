# SPDX-License-Identifier: MIT
"""Frozen memory: what is frozen and what isn't, and that workers can't tell it from memory of their own.

tests/modules/frozen.c has a zygote freeze memory of many kinds; each of its functions checks one thing in a worker."""

import glob
import os
import pathlib
import re
import resource
import signal
import struct
import subprocess

import pytest

from conftest import DENY, MISSING
from spawner import LIMIT, eventually
from test_serve import serve  # noqa: F401 (a fixture)

MIB = 1 << 20
SKIPPED = 77  # by tests/modules/frozen.h
WEAKER = "forkserver: memory is not frozen: "


def without_what_is_denied(errors):
    """Where this whole run has no huge pages on demand, that is said besides."""
    errors = re.sub(r"^forkserver: memory is not collapsed: MADV_COLLAPSE: .*\n", "", errors, flags=re.M)
    return re.sub(r"; MADV_COLLAPSE: .*", "", errors)


def execute(forkserver, *words, frozen="", before=(), environment=(), **options):
    environment = {**os.environ, "FROZEN": frozen, **dict(environment)}
    return subprocess.run([*before, forkserver, "run", *words], capture_output=True, text=True, timeout=2 * LIMIT,
                          env=environment,
                          stdin=subprocess.DEVNULL, **options)


@pytest.fixture
def run(forkserver, module, sanitized):
    """Calls a function of the module in a worker of a zygote that has loaded it. Its standard output, and error."""
    if sanitized:
        pytest.skip("a sanitizer has an allocator and mappings of its own, and nothing is frozen beside those")

    def run_one(function, mode="freeze", *words, code=0, **options):
        path = module("frozen")
        result = execute(forkserver, "--memory", mode, "--preload", path, "--call", f"{path}:{function}", *words,
                         **options)
        if result.returncode == SKIPPED:
            pytest.skip(f"{function} cannot look at that on this machine")
        assert result.returncode == code, result.stdout + result.stderr
        denied = "collapse" in MISSING and "collapse" not in options.get("before", ())
        return result.stdout, without_what_is_denied(result.stderr) if denied else result.stderr

    return run_one


# ---- what is frozen ----


@pytest.mark.parametrize("mode, frozen", [("auto", ""), ("freeze", ""), ("auto", "large")])
def test_nine_tenths_are_frozen_and_no_page_tables_are_left_to_copy(run, mode, frozen):
    assert run("is_frozen", mode, frozen=frozen) == ("", "")


def test_no_mapping_is_longer_than_a_fork_may_have_to_copy(run, program):
    """All that was read of it, once something was written. Of huge pages there is little to copy."""
    assert run("is_frozen", "auto", "64", frozen="large", before=[program("deny"), "collapse", "--"]) == ("", "")
    if "collapse" not in MISSING:
        run("is_frozen", "auto", "64", frozen="large", code=1)
        assert run("is_frozen", "auto", "256", frozen="larger") == ("", "")


def test_advice_about_huge_pages_does_not_keep_from_it(run):
    """numpy gives it for every large array."""
    run("advised_is_frozen", "auto")


@pytest.mark.parametrize("mode, function", [
    ("off", "is_not_frozen"), ("collapse", "is_not_frozen"), ("collapse", "is_collapsed"),
])
def test_the_other_modes(run, mode, function):
    assert run(function, mode) == ("", "")


def test_little_is_left_alone(run):
    assert run("is_not_frozen", "auto", frozen="small") == ("", "")


def test_reading_is_done_by_huge_pages(run):
    run("is_read_as_huge_pages")


def test_small_mappings_are_of_huge_pages_as_well(run):
    run("is_of_huge_pages", frozen="pieces")


def test_workers_have_not_the_zygotes_own_mapping(run):
    run("mirror")


@pytest.mark.parametrize("mode", ["auto", "freeze", "collapse"])
def test_locked_wiped_and_kept_out_memory_is_as_ever(run, mode):
    run("left_alone", mode)


def test_it_cannot_be_written_to(run):
    run("sealed")


def test_a_reservation_stays_sparse(run):
    run("has_holes")


# What a remedy is for: not every kernel tells the zero page from others: 256 MiB of zeros are written to the memfd
@pytest.mark.parametrize("what", ["zeros", "huge zeros", "written zeros", "huge written zeros"])
def test_zeros_are_holes(run, what):
    """That were only read, by pages of either size, or written to pages of their own."""
    run("has_holes", frozen=what)
    run("has_no_zeros", frozen=what)


# What a remedy is for: memory that has many zeros becomes as many mappings, and a spawn takes 65 ms a GiB
def test_short_stretches_of_zeros_are_frozen(run):
    run("is_in_one_piece", frozen="mixed")


@pytest.mark.parametrize("mode, what", [("freeze", "zeros thread"), ("collapse", "zeros")])
def test_zeros_are_kept_where_nothing_is_frozen(run, mode, what):
    """A thread could write there while they are given back. Nor are huge pages made of the zero page."""
    run("keeps_zeros", mode, "32768", frozen=what)
    run("keeps_zeros", mode, "32768", frozen="huge " + what)
    run("keeps_zeros", mode, frozen="written " + what)


# What a remedy is for: there is no limit to the pieces (PIECES_MAX is not used), and nothing can be mapped any more
def test_mappings_are_left_for_workers(run):
    if int(re.search(r"MemAvailable: *(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) < 8 << 20:
        pytest.skip("it takes 2.5 GiB")
    run("leaves_mappings", frozen="fragments")


# ---- the zygote's own loop ----


@pytest.fixture
def server(run, forkserver, module, tmp_path):
    """A named server with frozen memory: a function that calls an entry point so many times, and the zygote's pid."""
    name = str(tmp_path / "socket")
    with open(tmp_path / "log", "w") as log:
        words = ["--socket", name, "--memory", "freeze", "--preload", module("frozen")]
        server = subprocess.Popen([forkserver, "serve", *words], stderr=log)
    ping = [forkserver, "ping", "--socket", name]
    assert eventually(lambda: subprocess.run(ping, capture_output=True).returncode == 0)

    def spawn(function, times=1):
        words = ["map", "--jobs", "1", "--socket", name, "--call", f"{module('frozen')}:{function}", "{}"]
        result = subprocess.run([forkserver, *words], input="x\n" * times, capture_output=True, text=True,
                                timeout=2 * LIMIT)
        assert (result.returncode, result.stdout) == (0, ""), result.stdout + result.stderr

    spawn("is_frozen")
    stats = subprocess.run([forkserver, "stats", "--socket", name], capture_output=True, text=True,
                           timeout=LIMIT).stdout
    yield spawn, int(re.search(r"^zygote_pid (\d+)$", stats, re.M)[1])
    server.terminate()
    assert server.wait(LIMIT) == 0


def mappings(pid):
    """Of each mapping: start, end, name, and what smaps says of it."""
    found = []
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)", line):
            found.append((int(match[1], 16), int(match[2], 16), match[4], {}))
        else:
            name, value = line.split(":", 1)
            found[-1][3][name] = value.split() if name == "VmFlags" else int(value.split()[0])
    return found


def own_pages(pid):
    """Which page of memory lies where, of those that are the process's own. Only root is told."""
    pages = {}
    with open(f"/proc/{pid}/pagemap", "rb") as pagemap:
        for start, end, _, numbers in mappings(pid):
            if not numbers["Anonymous"] or end - start > 1 << 33:
                continue
            pagemap.seek(start // 4096 * 8)
            for i, (entry,) in enumerate(struct.iter_unpack("Q", pagemap.read((end - start) // 4096 * 8))):
                if entry >> 63 and not entry >> 61 & 1:  # in memory, and no file's
                    pages[start + i * 4096] = entry & ((1 << 55) - 1)
    return pages


def test_the_loop_writes_to_few_pages(server):
    """What it writes to it shares with the last child, so that it gets another page."""
    spawn, zygote = server
    before = own_pages(zygote)
    if not any(before.values()):
        pytest.skip("only root is told which page is which")
    spawn("nothing", 1000)
    written = [at for at, page in own_pages(zygote).items() if before.get(at) != page]
    assert 0 < len(written) * 4096 < 64 << 10


def test_the_loop_has_no_page_tables_of_what_is_frozen(server):
    spawn, zygote = server
    spawn("nothing", 100)
    frozen = [one for one in mappings(zygote) if "/memfd:forkserver-frozen" in one[2] and "dc" not in one[3]["VmFlags"]]
    assert sum(end - start for start, end, _, _ in frozen) > 100 * MIB
    # KiB: it touches a page or two, and a fault maps what lies around it, up to 64
    assert sum(numbers["Rss"] for _, _, _, numbers in frozen) < 256


# ---- malloc ----


@pytest.mark.parametrize("function", [
    "allocates",
    "allocates_in_thread",
    "moves_break",
    "reallocates",
    "reallocates_unseen",
    # What a remedy is for: realloc shrinks a block by mremap, and its last, anonymous page is gone; growth then runs
    # into the memfd: SIGBUS
    "reallocates_smaller",
    "new_chunks",
])
def test_malloc(run, function):
    run(function)


JEMALLOC = [*glob.glob("/usr/lib/*/libjemalloc.so.2"), *glob.glob("/usr/lib*/libjemalloc.so.2")]


@pytest.mark.skipif(not JEMALLOC, reason="no jemalloc: Debian's package is libjemalloc2")
@pytest.mark.skipif("pagemap_scan" in MISSING,
                    reason="beside a reservation of jemalloc's the module's own is too large for pagemap")
@pytest.mark.parametrize("decay", ["", "dirty_decay_ms:0,muzzy_decay_ms:0"])
def test_jemalloc(run, decay):
    environment = {"LD_PRELOAD": JEMALLOC[0], "MALLOC_CONF": decay}
    assert run("is_not_frozen", "auto", environment=environment) == ("", "")
    assert run("is_right", "freeze", environment=environment)[1] == WEAKER + "malloc is not the C library's\n"
    for function in "allocates", "allocates_in_thread", "reallocates", "reallocates_smaller":
        run(function, "auto", environment=environment)


# ---- mremap, madvise, mprotect ----


@pytest.mark.parametrize("function", [
    "grows",
    # What a remedy is for: the sizes are not rounded to pages: what lies behind the old size in its page is lost,
    # growth within it fails
    "grows_from_any_size",
    # What a remedy is for: the copy reads memory that may not be read: SIGSEGV
    "grows_unreadable",
    # What a remedy is for: memory that has moved is not known as frozen any more, and grows by the bytes that follow in
    # the memfd
    "moves_and_shrinks",
    # What a remedy is for: MREMAP_DONTUNMAP leaves the frozen bytes behind
    "moves_and_stays",
])
def test_mremap(run, function):
    run(function)


@pytest.mark.parametrize("function", [
    "advises_zeros",
    "advises_others",
    "advises_replaced",
    # What a remedy is for: MADV_DONTNEED_LOCKED brings the frozen bytes back
    "advises_locked",
    # What a remedy is for: MADV_GUARD_REMOVE brings back what MADV_GUARD_INSTALL has thrown away
    "advises_guard",
    # What a remedy is for: relocations of data (R_X86_64_64) are not redirected
    "advises_by_pointer",
])
def test_madvise(run, function):
    run(function)


# What a remedy is for: a private mapping of a file is frozen too, and gives zeros where the file's bytes are due
def test_private_mappings_of_files(run):
    run("keeps_file", frozen="file")


def test_memory_that_becomes_code(run):
    run("becomes_code")


# What a remedy is for: the object that has the zygote's code in it is left out, and the program's own calls with it
def test_a_program_that_has_the_library_in_itself(program, sanitized):
    if sanitized:
        pytest.skip("there is no such program with a sanitizer")
    result = subprocess.run([program("frozen-own")], capture_output=True, text=True, timeout=LIMIT)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


# ---- processes and threads ----


@pytest.mark.parametrize("function, code", [("forks", 0), ("executes", 7), ("starts_threads", 0)])
def test_workers_of_every_kind(run, function, code):
    run(function, code=code)


def test_what_one_worker_writes_is_seen_by_nobody_else(run, forkserver, module, tmp_path):
    path, name = module("frozen"), str(tmp_path / "socket")
    with open(tmp_path / "log", "w") as log:
        words = ["--socket", name, "--memory", "freeze", "--standbys", "2", "--preload", path]
        server = subprocess.Popen([forkserver, "serve", *words], stderr=log)
    ping = [forkserver, "ping", "--socket", name]
    assert eventually(lambda: subprocess.run(ping, capture_output=True).returncode == 0)
    for function in ("is_frozen", "write_all", "is_frozen", "forks", "write_all", "is_frozen", "is_right"):
        result = execute(forkserver, "--socket", name, "--call", f"{path}:{function}")
        assert result.returncode == 0, function + ": " + result.stdout + result.stderr
    server.terminate()
    assert server.wait(LIMIT) == 0


def test_no_freezing_beside_a_thread(run):
    out, errors = run("is_not_frozen", "freeze", frozen="thread")
    # The kernel may lack room for one huge page of many, or find a page in the thread's hands.
    errors = re.sub(r"; MADV_COLLAPSE: .*", "", errors)
    assert errors.endswith(WEAKER + "a thread runs\n"), errors
    _, errors = run("is_not_frozen", "auto", frozen="thread")
    assert WEAKER not in errors
    run("is_collapsed", "auto", frozen="thread")


BLAS = [*glob.glob("/usr/lib/*/openblas-pthread/libopenblas.so.0"), *glob.glob("/usr/lib*/libopenblas.so.0")]


@pytest.mark.skipif(not BLAS, reason="no OpenBLAS: Debian's package is libopenblas0-pthread")
def test_threads_that_end_for_a_fork(run, forkserver, module):
    path = module("blas")
    environment = {"BLAS": BLAS[0], "OPENBLAS_NUM_THREADS": "2"}
    result = execute(forkserver, "--memory", "freeze", "--preload", path, "--call", f"{path}:multiplies",
                     environment=environment)
    assert (result.stdout, result.stderr) == ("1 threads, frozen, then 2 or more: yes\n", "")
    assert result.returncode == 0


# What a remedy is for: the throw-away fork is left out when nobody wants to hear of threads
def test_threads_that_end_for_a_fork_and_nobody_minds(run, forkserver, module, tmp_path):
    name = str(tmp_path / "socket")
    environment = {**os.environ, "LEAVES": "stopped thread"}
    words = ["--socket", name, "--memory", "freeze", "--threads", "ignore", "--preload", module("leaves"), "--preload",
             module("frozen")]
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen([forkserver, "serve", *words], stderr=log, env=environment)
    ping = [forkserver, "ping", "--socket", name]
    assert eventually(lambda: subprocess.run(ping, capture_output=True).returncode == 0)
    result = execute(forkserver, "--socket", name, "--call", f"{module('frozen')}:is_frozen")
    server.terminate()
    assert server.wait(LIMIT) == 0
    assert result.returncode == 0, result.stdout + (tmp_path / "log").read_text()


# ---- core dumps ----


def own_filter():
    return int(pathlib.Path("/proc/self/coredump_filter").read_text(), 16)


@pytest.mark.parametrize("mode", ["freeze", "auto"])
def test_frozen_memory_is_wanted_in_cores(run, mode):
    run("core_filter", mode)


def test_a_program_has_the_servers_core_filter(run, forkserver, module):
    result = execute(forkserver, "--memory", "freeze", "--preload", module("frozen"), "cat",
                     "/proc/self/coredump_filter")
    assert result.returncode == 0 and int(result.stdout, 16) == own_filter()


def written_parts(path):
    """A core is sparse: the whole reservation of 64 GiB is in it."""
    with open(path, "rb") as file:
        end = 0
        while True:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:  # ENXIO: none comes any more
                return
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            yield os.pread(file.fileno(), end - start, start)


def test_a_core_has_what_is_frozen(run, tmp_path):
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern[:1] in ("|", "@", "") or "/" in pattern:
        pytest.skip(f"cores go elsewhere here: {pattern}")
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        pytest.skip("cores are limited here")
    run("crash", code=128 + signal.SIGABRT, cwd=tmp_path)
    (core,) = tmp_path.iterdir()
    try:
        content = b"".join(written_parts(core))
    finally:
        core.unlink()
    assert [i for i in range(256) if b"forkserver's marker %04d\0" % i not in content] == []


# ---- what the system refuses ----


def limited(what, size):
    return lambda: resource.setrlimit(what, (size, size))


def limit_files(size):
    return limited(resource.RLIMIT_FSIZE, size)


@pytest.mark.parametrize("mode", ["auto", "freeze"])
def test_a_limit_on_the_size_of_files(run, mode):
    _, errors = run("is_not_frozen", mode, preexec_fn=limit_files(4096))  # where the first page would go
    assert errors == ("" if mode == "auto" else WEAKER + "writing to the memfd: File too large\n")
    run("is_right", mode, preexec_fn=limit_files(16 * 1024))  # a small mapping may be frozen


def test_a_limit_that_is_reached_on_the_way(run):
    _, errors = run("partly", frozen="large", preexec_fn=limit_files(100 * MIB))
    assert errors == WEAKER + "writing to the memfd: File too large\n"
    for function in "allocates", "reallocates", "grows", "advises_zeros", "left_alone":
        run(function, frozen="large", preexec_fn=limit_files(100 * MIB))


# What a remedy is for: after a failure on the way the memfd is not sealed, though part of the memory is mapped from it
def test_what_is_frozen_in_part_cannot_be_written_to(run):
    run("sealed", frozen="large", preexec_fn=limit_files(100 * MIB))


@pytest.mark.parametrize("refused, what", [
    ("memfd_create", "memfd_create: Function not implemented"),
    ("pwrite", "writing to the memfd: No space left on device"),
    ("map_fixed", "mapping the memfd: Cannot allocate memory"),
])
def test_what_is_refused_is_named_and_memory_collapsed(run, program, refused, what):
    deny = [program("deny"), refused, "--"]
    assert run("is_not_frozen", "freeze", before=deny)[1] == WEAKER + what + "\n"
    assert run("is_not_frozen", "auto", before=deny) == ("", "")
    run("is_collapsed", "auto", before=deny)
    for function in "is_right", "allocates", "grows", "advises_zeros", "left_alone":
        run(function, "auto", before=deny)


def test_huge_pages_are_refused(run, program):
    """Frozen memory does without; what would be collapsed stays as it is."""
    deny = [program("deny"), "collapse", "--"]
    assert run("is_frozen", "freeze", before=deny) == ("", "")
    out, errors = run("is_not_frozen", "collapse", before=deny)
    assert errors == "forkserver: memory is not collapsed: MADV_COLLAPSE: Invalid argument\n"
    run("is_right", "collapse", before=deny)
    deny[1:1] = ["memfd_create"]
    _, errors = run("is_not_frozen", "freeze", before=deny)
    assert errors == WEAKER + "memfd_create: Function not implemented; MADV_COLLAPSE: Invalid argument\n"
    assert run("is_right", "auto", before=deny) == ("", "")


@pytest.mark.skipif(bool(DENY), reason="the kernel has one listener for filters")
def test_huge_pages_that_the_kernel_has_not_just_now(forkserver, module, program, build, sanitized):
    """It is asked again, and not for ever."""
    if sanitized:
        pytest.skip("a sanitizer has an allocator and mappings of its own")
    path, asked = module("frozen"), []
    for err in "EINVAL", "EAGAIN":
        before = [program("deny"), "--count", build, "--errno", err, "collapse", "--"]
        result = execute(forkserver, "--memory", "collapse", "--preload", path, "--call", f"{path}:nothing",
                         before=before)
        assert result.returncode == 0 and "forkserver: memory is not collapsed: MADV_COLLAPSE" in result.stderr
        asked.append(int(re.search("collapse, asked for ([0-9]+) times", result.stderr)[1]))
    assert asked[1] > 2 * asked[0] > 0  # how many huge pages fit is chance


def test_what_cannot_be_sealed_is_frozen_all_the_same(run, program):
    deny = [program("deny"), "seal", "--"]
    assert run("is_frozen", "freeze", before=deny)[1] == WEAKER + "sealing the memfd: Operation not permitted\n"
    for function in "allocates", "grows", "advises_zeros":
        run(function, before=deny)


def test_shared_memory_is_full(run):
    """It is no matter: the memfd is on no file system that anybody has mounted."""
    script = 'mount -t tmpfs -o size=64k none /dev/shm && { head -c 1M /dev/zero >/dev/shm/full; exec "$@"; }; exit 77'
    before = ["unshare", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*before, "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    out, errors = run("is_frozen", "freeze", before=before)
    assert out == "" and WEAKER not in errors


# ---- too little memory ----


@pytest.mark.parametrize("what", [resource.RLIMIT_AS, resource.RLIMIT_DATA])
def test_a_preload_larger_than_memory(run, forkserver, module, what):
    path = module("frozen")
    result = execute(forkserver, "--preload", path, "--call", f"{path}:is_right", preexec_fn=limited(what, 256 * MIB))
    assert result.returncode == 125
    assert f"module '{path}': its forkserver_preload(): Cannot allocate memory (stage preload)" in result.stderr


def test_there_is_room_for_what_is_loaded_alone(run):
    """Not for the zygote's own mapping of all of it, nor for what collapsing takes."""
    near = limited(resource.RLIMIT_AS, (64 << 30) + 420 * MIB)
    assert run("is_frozen", frozen="large", preexec_fn=near) == ("", "")
    for function in "advises_zeros", "left_alone", "forks":
        run(function, frozen="large", preexec_fn=near)


def own_groups():
    """Where a control group for memory may be made: (directory, its limit's file, the file that has the peak)."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            yield f"/sys/fs/cgroup/memory{path}", "memory.limit_in_bytes", "memory.max_usage_in_bytes"
        if not controllers:  # version 2: beside us, since none with processes has children with controllers
            yield os.path.dirname(f"/sys/fs/cgroup{path}"), "memory.max", "memory.peak"


@pytest.fixture
def group():
    """A control group of our own: its directory, and the names of those two files."""
    for parent, limit, peak in own_groups():
        directory = pathlib.Path(parent, f"forkserver-test-{os.getpid()}")
        try:
            directory.mkdir()
        except OSError:
            continue
        if (directory / limit).exists() and (directory / peak).exists():
            yield directory, limit, peak
            assert eventually(lambda: not (directory / "cgroup.procs").read_text())
            directory.rmdir()
            return
        directory.rmdir()
    pytest.skip("no control group can be made here")


def test_near_a_control_groups_limit(run, group):
    """Who needs more than that for a moment is killed."""
    directory, limit, peak = group
    join = {"preexec_fn": lambda: (directory / "cgroup.procs").write_text("0")}
    run("is_right", "off", **join)
    most = int((directory / peak).read_text())
    assert eventually(lambda: not (directory / "cgroup.procs").read_text())
    (directory / limit).write_text(str(most + 8 * MIB))
    assert run("is_frozen", "freeze", **join) == ("", "")
    assert int((directory / peak).read_text()) <= most + 8 * MIB
    run("is_right", "freeze", **join)


@pytest.mark.parametrize("room", [1024, 1536])
def test_at_a_control_groups_limit(run, group, room):
    """Below what freezing needs the kernel kills the zygote; then the next weaker mode, and correct children."""
    directory, limit, peak = group
    join = {"preexec_fn": lambda: (directory / "cgroup.procs").write_text("0")}
    run("is_right", "off", **join)
    most = int((directory / peak).read_text())
    assert eventually(lambda: not (directory / "cgroup.procs").read_text())
    (directory / limit).write_text(str(most + room * 1024))
    _, errors = run("is_right", "freeze", **join)
    assert not errors or errors.startswith(WEAKER)


@pytest.fixture
def serve_killed(serve, module, preloadable, sanitized):
    """A named server whose zygotes are killed, by the module that is loaded first, and the one that they preload."""
    if sanitized:
        pytest.skip("a sanitizer has to be loaded first")

    def serve_one(kills):
        environment = ["env", f"LD_PRELOAD={preloadable('killed_freezing')}", f"KILLED_FREEZING={kills}", "FROZEN="]
        path = module("frozen")
        server = serve("--preload", path,
                       wrap=lambda *command: [*environment, *map(str, command)]).wait_until_it_listens()
        return server, lambda: server.run("--call", f"{path}:is_right")

    return serve_one


@pytest.mark.parametrize("kills, zygotes, why", [
    ("freeze", 3, "zygotes were killed while they froze it"),
    ("collapse", 4, "zygotes were killed while they froze it; zygotes were killed while they collapsed it"),
])
def test_zygotes_that_are_killed_while_they_freeze(serve_killed, kills, zygotes, why):
    """The second makes less be done, and so it stays."""
    server, call = serve_killed(kills)
    for restarts in range(3):
        assert call().returncode == 0
        assert eventually(lambda: server.read_log().count("MiB frozen") == restarts + 1)
        stats = server.stats()
        assert stats["zygote_starts"] == zygotes + restarts
        assert (without_what_is_denied(stats["memory_why"]), stats["memory_frozen"]) == (why, 0)
        if "collapse" not in MISSING:
            assert (stats["memory_collapsed"] > 0) == (kills == "freeze")
        os.kill(stats["zygote_pid"], signal.SIGKILL)
    assert why in server.read_log()


def test_one_zygote_that_is_killed_while_it_freezes(serve_killed, tmp_path):
    """By somebody's whim, now and then: the next one freezes as asked."""
    once = tmp_path / "once"
    once.touch()
    server, call = serve_killed(once)
    for i in range(3):
        assert call().returncode == 0
        assert eventually(lambda: server.read_log().count("MiB frozen") == i + 1)
        stats = server.stats()
        assert stats["memory_frozen"] > 0 and not stats["memory_why"] and stats["zygote_starts"] == 2 * (i + 1)
        once.touch()
        os.kill(stats["zygote_pid"], signal.SIGKILL)


def test_a_control_group_without_room_for_the_preload(run, forkserver, module, group):
    directory, limit, _ = group
    (directory / limit).write_text(str(60 * MIB))
    path = module("frozen")
    result = execute(forkserver, "--preload", path, "--call", f"{path}:is_right",
                     preexec_fn=lambda: (directory / "cgroup.procs").write_text("0"))
    assert result.returncode == 125 and f"killed by SIGKILL while it loaded module '{path}'" in result.stderr


def test_without_pagemap_scan(run, program):
    """What Linux before 6.7 has instead gives the same."""
    deny = [program("deny"), "pagemap_scan", "--"]
    assert run("sizes", before=deny) == run("sizes")
    for function in "is_frozen", "has_holes", "allocates":
        run(function, before=deny)
    for what in "zeros", "huge zeros", "written zeros":
        run("has_holes", frozen=what, before=deny)
