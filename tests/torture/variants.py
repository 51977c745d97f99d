# SPDX-License-Identifier: MIT
"""In which settings the torture takes place, and on what machine."""

import dataclasses
import os
import platform
import re
import resource
import signal
import tempfile

KERNEL = tuple(int(re.match(r"\d+", part)[0]) for part in platform.release().split(".")[:2])


@dataclasses.dataclass
class Variant:
    name: str
    what: str
    deny: tuple = ()        # features that the kernel shall not seem to have (tests/programs/deny.c)
    mib: int = 1            # preloaded
    clients: int = 3
    threads: int = 8
    standbys: int = 2
    named: bool = False     # one server at a socket; else each client has its own
    server_dies: bool = False
    may_lose: bool = False  # statuses: where the kernel cannot tell
    sandboxes: int = 0      # of two in three processes
    renews: bool = False    # the server reloads, and others take over from it
    cores: bool = False     # whether this machine writes core files


def variants():
    lose = KERNEL < (6, 15)
    return [
        Variant("private", "each client has a server of its own"),
        Variant("frozen", "the same, with 64 MiB of frozen memory in each zygote", mib=64),
        Variant("twice", "the same, where the zygote has to fork twice (an older kernel)", deny=("sud", "close_range"),
                standbys=1),
        Variant("named", "one server at a socket, for all clients, with eight standbys", named=True, standbys=8),
        Variant("renewed", "one server at a socket, which reloads and is taken over from", named=True, standbys=4,
                renews=True),
        Variant("sandbox", "each client has a server of its own, and two of three processes are in a sandbox",
                sandboxes=2),
        Variant("server", "servers are killed as well", server_dies=True, standbys=4, may_lose=lose),
        Variant("server-twice", "the same, forking twice, with frozen memory", deny=("sud",), mib=64, server_dies=True,
                may_lose=lose),
        Variant("server-named", "the server at a socket is killed as well, and started again", named=True,
                server_dies=True, may_lose=lose),
        Variant("server-untold",
                "servers are killed where the kernel does not tell of the end of other people's processes",
                deny=("pidfd_info",), server_dies=True, may_lose=True),
    ]


def machine_writes_cores():
    """Whether the kernel says "core dumped" of a process that ends by SIGABRT, with the limit that the module
    `tortured` sets."""
    with tempfile.TemporaryDirectory(prefix="forkserver-torture-") as folder:
        pid = os.fork()
        if pid == 0:
            os.chdir(folder)
            hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
            resource.setrlimit(resource.RLIMIT_CORE,
                               (1 << 16 if hard == resource.RLIM_INFINITY else min(1 << 16, hard), hard))
            signal.signal(signal.SIGABRT, signal.SIG_DFL)
            os.abort()
        return os.WCOREDUMP(os.waitpid(pid, 0)[1])


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} CPUs {model}, Linux {platform.release()}"
