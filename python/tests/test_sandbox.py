# SPDX-License-Identifier: MIT
"""Processes in a sandbox, and what they may do.
PYTHONPATH=<package> python3 -m unittest python/tests/test_sandbox.py"""

import ctypes
import errno
import os
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

import forkserver

PASSWD = "/etc/passwd"


def double(x):
    return 2 * x


def network():
    socket.socket().close()


def read(path):
    with open(path, "rb") as file:
        return len(file.read())


def write(path):
    with open(path, "w") as file:
        return file.write("x")


def names_and_threads():
    """Plain work: threads, an import that was not preloaded, a large value."""
    import colorsys  # noqa: F401

    done = []
    threads = [threading.Thread(target=done.append, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(done), b"x" * 1000000


def use_up_memory():
    """Leaves no byte of it."""
    blocks, size = [], 1 << 24
    while True:
        try:
            blocks.append(bytearray(size))
        except MemoryError:
            if size == 1:
                raise
            size //= 2


def run_program():
    return subprocess.call(["true"])


def spawn_again():
    with forkserver.Server() as server:
        return server.call(double, 1)




def allocate(n):
    return len(bytearray(n))


class SandboxTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = forkserver.Server(sandbox=forkserver.Sandbox("untrusted"))

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_plain_work(self):
        self.assertEqual(self.server.call(double, 21), 42)
        order, large = self.server.call(names_and_threads)
        self.assertEqual((order, len(large)), ([0, 1, 2, 3], 1000000))

    def test_what_is_refused(self):
        for function, arguments in ((network, ()), (read, (PASSWD,)), (write, ("/tmp/forkserver-sandbox",)),
                                    (os.kill, (os.getpid(), 0)), (os.listdir, ("/",))):
            with self.subTest(function=function), self.assertRaises(PermissionError):
                self.server.call(function, *arguments)
        with self.assertRaises(PermissionError):
            self.server.call(run_program)

    def test_no_server_inside(self):
        with self.assertRaises(forkserver.Error) as caught:
            self.server.call(spawn_again)
        self.assertIn("a process in a sandbox may not spawn", str(caught.exception))

    def test_refused_calls_are_told(self):
        process = self.server.spawn(double, 1)
        self.assertEqual((process.wait(), process.refused), (0, None))
        with forkserver.Server(sandbox=forkserver.Sandbox("untrusted")) as server, tempfile.TemporaryFile() as file:
            process = server.run([sys.executable, "-c", "import socket; socket.socket()"], stderr=file)
            self.assertEqual((process.wait(), process.refused), (1, (1, "socket")))

    def test_files_that_are_added(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "file")
            write(path)
            box = forkserver.Sandbox("untrusted", read=[path])
            with forkserver.Server(sandbox=box) as server:
                self.assertEqual(server.call(read, path), 1)
                self.assertRaises(PermissionError, server.call, write, path)
            with forkserver.Server(sandbox=forkserver.Sandbox("untrusted", write=[path])) as server:
                self.assertEqual(server.call(write, path), 1)
                self.assertRaises(PermissionError, server.call, write, path + "2")
            with forkserver.Server(sandbox=forkserver.Sandbox("untrusted", make=[directory])) as server:
                self.assertEqual(server.call(write, path + "2"), 1)

    def test_no_memory_is_left_to_tell_of_it(self):
        with forkserver.Server(sandbox=forkserver.Sandbox("none", limits={"AS": 256 << 20})) as server:
            with self.assertRaises(MemoryError) as caught:
                server.call(use_up_memory)
            self.assertIn("in use_up_memory", str(caught.exception.__cause__))

    def test_limits(self):
        with forkserver.Server(sandbox=forkserver.Sandbox("none", limits={"AS": 256 << 20})) as server:
            self.assertEqual(server.call(allocate, 1 << 20), 1 << 20)
            self.assertRaises(MemoryError, server.call, allocate, 512 << 20)

    def test_kill(self):
        with forkserver.Executor(sandbox=forkserver.Sandbox("untrusted", kill=True)) as executor:
            self.assertEqual(list(executor.map(double, range(5))), [0, 2, 4, 6, 8])
            with self.assertRaises(forkserver.WorkerDied) as caught:
                executor.submit(network).result()
            self.assertIn("was killed by SIGKILL, because its sandbox refuses socket", str(caught.exception))
            self.assertEqual(executor.submit(double, 3).result(), 6)

    def test_rules(self):
        rules = forkserver.Sandbox("untrusted").rules
        self.assertIn("no network", [rule.what for rule in rules])
        for rule in rules:
            self.assertIn(rule.state, ("enforced", "partly", "not enforced"))
            self.assertEqual(rule.state == "enforced", not rule.why)

    def test_mistakes(self):
        for error, arguments in ((ValueError, dict(refuse=["all"])), (ValueError, dict(unshare=["pid"])),
                                 (TypeError, dict(read="/etc")), (ValueError, dict(limits={"MEMORY": 1})),
                                 (ValueError, dict(mounts=[("nfs", "/x")])), (ValueError, dict(filter=b"x")),
                                 (ValueError, dict(connect=[70000])), (ValueError, dict(listen=["http"])),
                                 (ValueError, dict(mounts=[("tmpfs", "tmp")])), (ValueError, dict(read=[""])),
                                 (ValueError, dict(mounts=[("bind", "/tmp")])), (TypeError, dict(mounts=["tmpfs"])),
                                 (TypeError, dict(limits={"AS": "1G"})), (ValueError, dict(limits={"AS": -2}))):
            with self.subTest(arguments=arguments), self.assertRaises(error):
                forkserver.Sandbox("none", **arguments)
        with self.assertRaises(forkserver.Error) as caught:
            forkserver.Sandbox("wild")
        self.assertEqual((caught.exception.errno, caught.exception.stage), (errno.EINVAL, "sandbox"))
        for make in (forkserver.Server, forkserver.Executor):
            self.assertRaises(TypeError, make, sandbox="untrusted")

    def test_names_that_are_no_text(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(os.fsencode(directory), b"\xff,")
            write(path)
            with forkserver.Server(sandbox=forkserver.Sandbox("untrusted", read=[path])) as server:
                self.assertEqual(server.call(read, path), 1)

    def test_script_in_the_home_directory(self):
        """Its modules can be imported, and what else is there is not opened."""
        with tempfile.TemporaryDirectory() as home:
            for name, text in (("secret", "x"), ("mine.py", "y = 1"), ("script.py", SCRIPT_AT_HOME)):
                with open(os.path.join(home, name), "w") as file:
                    file.write(text)
            result = subprocess.run([sys.executable, os.path.join(home, "script.py")], capture_output=True, text=True,
                                    env={**os.environ, "HOME": home})
            self.assertEqual((result.stdout, result.stderr), ("closed\n", ""))

    def test_sandbox_that_cannot_be_had(self):
        with forkserver.Server(sandbox=forkserver.Sandbox("none", read=["/nonexistent"])) as server:
            with self.assertRaises(forkserver.Error) as caught:
                server.call(double, 1)
            self.assertEqual(caught.exception.stage, "sandbox")
            self.assertIn("/nonexistent", str(caught.exception))

    def test_ctypes_is_no_way_out(self):
        """What the filter refuses, it refuses to code that calls the C library as well."""
        self.assertEqual(self.server.call(socket_by_ctypes), (-1, errno.EPERM))


SCRIPT_AT_HOME = """
import forkserver
import os

def look():
    import mine
    try:
        open(os.path.join(os.environ["HOME"], "secret"))
    except PermissionError:
        return "closed"

if __name__ == "__main__":
    with forkserver.Server(sandbox=forkserver.Sandbox("untrusted")) as server:
        print(server.call(look))
"""


def socket_by_ctypes():
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0), ctypes.get_errno()


if __name__ == "__main__":
    unittest.main()
