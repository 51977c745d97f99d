# SPDX-License-Identifier: MIT
"""What a process is and may do: each is seen from inside.
PYTHONPATH=<package> python3 -m unittest python/tests/test_attributes.py"""

import os
import resource
import subprocess
import tempfile
import unittest

import forkserver

NOBODY = 65534
SET = {"limits": {"NOFILE": 100, resource.RLIMIT_CORE: (0, 0), "FSIZE": (1 << 30, None)}, "nice": 19, "umask": 0o027}
IS_ROOT = os.geteuid() == 0


def look(extra=None):
    """What SET is about, and who we are."""
    mask = os.umask(0)
    os.umask(mask)
    return {"NOFILE": resource.getrlimit(resource.RLIMIT_NOFILE), "CORE": resource.getrlimit(resource.RLIMIT_CORE),
            "FSIZE": resource.getrlimit(resource.RLIMIT_FSIZE)[0], "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "umask": mask, "cpus": os.sched_getaffinity(0), "ids": (os.getresuid(), os.getresgid(), os.getgroups()),
            "extra": extra}


def look_twice(a, b):
    return look((a, b))


def as_bytes():
    return repr(look()).encode()


def exit_if_seen():
    raise SystemExit(7 if os.getpriority(os.PRIO_PROCESS, 0) == 19 else 8)


def cgroup():
    with open("/proc/self/cgroup", encoding="ascii") as file:
        return file.read()


class TestAttributes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = forkserver.Server()
        cls.addClassCleanup(cls.server.close)

    def check(self, seen):
        self.assertEqual((seen["NOFILE"], seen["CORE"], seen["FSIZE"]), ((100, 100), (0, 0), 1 << 30))
        self.assertEqual((seen["nice"], seen["umask"]), (19, 0o027))

    def test_call(self):
        before = self.server.call(look)
        self.check(self.server.call(look, **SET))
        self.check(self.server.call(look, extra=3, **SET))
        self.check(eval(bytes(self.server.call_bytes(as_bytes, **SET))))
        self.assertEqual(self.server.call(look), before)

    def test_spawn(self):
        with self.server.spawn(exit_if_seen, nice=19) as process:
            self.assertEqual(process.wait(60), 7)
        with self.server.spawn(exit_if_seen) as process:
            self.assertEqual(process.wait(60), 8)

    def test_run(self):
        with tempfile.TemporaryFile("w+") as file:
            with self.server.run(["sh", "-c", "ulimit -n; nice; umask"], stdout=file, **SET) as process:
                self.assertEqual(process.wait(60), 0)
            file.seek(0)
            self.assertEqual(file.read(), "100\n19\n0027\n")

    def test_executor(self):
        for reuse in 1, 3:
            with forkserver.Executor(2, server=self.server, reuse=reuse, **SET) as executor:
                for seen in executor.map(look, range(4)):
                    self.check(seen)

    def test_pool(self):
        with forkserver.Pool(2, server=self.server, **SET) as pool:
            for seen in pool.map(look, range(4)):
                self.check(seen)

    def test_processors(self):
        last = max(os.sched_getaffinity(0))
        self.assertEqual(self.server.call(look, cpu_affinity={last})["cpus"], {last})
        self.assertEqual(self.server.call(look, cpu_affinity=iter([last]))["cpus"], {last})

    @unittest.skipUnless(IS_ROOT, "only root can be another user")
    def test_user(self):
        seen = self.server.call(look, user=NOBODY, group=12345, extra_groups=["root", 12346])
        self.assertEqual(seen["ids"], ((NOBODY,) * 3, (12345,) * 3, [0, 12346]))
        seen = self.server.call(look, user="nobody", extra_groups=[])
        self.assertEqual((seen["ids"][0], seen["ids"][2]), ((NOBODY,) * 3, []))
        with forkserver.Executor(1, server=self.server, user=NOBODY) as executor:
            self.assertEqual(executor.submit(look).result()["ids"][0], (NOBODY,) * 3)

    @unittest.skipUnless(IS_ROOT, "only root can be another user")
    def test_user_raises_as_ever(self):
        with self.assertRaises(ZeroDivisionError):
            self.server.call(divmod, 1, 0, user=NOBODY)
        with self.assertRaises(forkserver.WorkerDied):
            self.server.call(os._exit, 3, user=NOBODY)

    def test_what_the_system_refuses(self):
        with self.assertRaises(forkserver.Error) as caught:
            self.server.call(look, limits={"NOFILE": (10, 1 << 40)})
        self.assertEqual(caught.exception.stage, "attributes")
        self.assertIn(f"RLIMIT_NOFILE to 10:{1 << 40}", str(caught.exception))

    def test_cgroup(self):
        with self.assertRaises(forkserver.Error) as caught:
            self.server.call(cgroup, cgroup="/no/such")
        self.assertIn("cgroup '/no/such'", str(caught.exception))
        with open("/proc/self/mounts", encoding="ascii") as file:
            root = next((line.split()[1] for line in file if line.split()[2] == "cgroup2"), None)
        own = next((line[3:].strip() for line in cgroup().splitlines() if line.startswith("0::")), None)
        if root is None or own is None:
            self.skipTest("no cgroups, version 2")
        path = f"{root}{own}/forkserver-python-{os.getpid()}"
        try:
            os.mkdir(path)
            self.addCleanup(os.rmdir, path)
            subprocess.run(["sh", "-c", 'echo 0 > "$0/cgroup.procs"', path], check=True, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            self.skipTest("no group can be made here")
        self.assertIn(os.path.basename(path), self.server.call(cgroup, cgroup=path))

    def test_mistakes(self):
        for keywords, error, words in [
                ({"limits": {"FOO": 1}}, ValueError, "'FOO' is none of AS, CORE, CPU"),
                ({"limits": {"NOFILE": -5}}, ValueError, "must not be negative"),
                ({"limits": {"NOFILE": (2, 1)}}, forkserver.Error, "its soft limit is above its hard one"),
                ({"user": "no such user"}, ValueError, "there is no user 'no such user'"),
                ({"group": "no such group"}, ValueError, "there is no group 'no such group'"),
                ({"cpu_affinity": [9999]}, ValueError, "there is no processor 9999"),
                ({"cpu_affinity": []}, forkserver.Error, "the set of processors is empty"),
                ({"nice": 77}, forkserver.Error, "a nice value is from -20 to 19, not 77"),
        ]:
            with self.subTest(keywords), self.assertRaises(error) as caught:
                self.server.call(look, **keywords)
            self.assertIn(words, str(caught.exception))
        with self.assertRaises(TypeError):
            self.server.run(["true"], no_such_keyword=1)
        with self.assertRaises(TypeError):
            self.server.call(look, nice="x")


if __name__ == "__main__":
    unittest.main()
