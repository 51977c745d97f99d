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

from conftest import MISSING
from spawner import LIMIT, eventually

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
                          env=environment, stdin=subprocess.DEVNULL, **options)


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


def test_advice_about_huge_pages_does_not_prevent_freezing(run):
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


def test_frozen_file_cannot_be_written_to(run):
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
    run("crash", code=-signal.SIGABRT, cwd=tmp_path)
    (core,) = tmp_path.iterdir()
    try:
        content = b"".join(written_parts(core))
    finally:
        core.unlink()
    assert [i for i in range(256) if b"forkserver's marker %04d\0" % i not in content] == []
