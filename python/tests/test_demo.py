# SPDX-License-Identifier: MIT
"""The demo, small.
PYTHONPATH=<package> python3 -m unittest python/tests/test_demo.py     after ./dev python, which builds what it shows"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
DEMO = os.path.join(ROOT, "examples", "demo", "demo.py")
BUILD = os.path.join(ROOT, "build-python")
LIMIT = 60 * int(os.environ.get("FORKSERVER_TEST_PATIENCE", "1"))
# It crashes as the real one does, and has other answers.
WRONG_PROGRAM = """#!/bin/sh
[ "$2" != no-such-word ] || kill -SEGV $$
echo "$2: nothing"
"""


@unittest.skipUnless(os.path.exists(os.path.join(BUILD, "examples", "search.so")), "needs build-python/")
class Demo(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="forkserver-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.place = os.path.join(self.directory, "tmp")
        os.mkdir(self.place)
        self.picture = os.path.join(self.directory, "demo.svg")

    def start(self, build=BUILD):
        process = subprocess.Popen([sys.executable, DEMO, build, self.picture], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                                   env={**os.environ, "FORKSERVER_DEMO": "small", "TMPDIR": self.place})
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def run_demo(self, build=BUILD):
        process = self.start(build)
        out, errors = process.communicate(timeout=LIMIT)
        self.assertEqual(os.listdir(self.place), [], "something is left")
        return process.returncode, out, errors

    def test_piped(self):
        code, out, errors = self.run_demo()
        self.assertEqual((code, errors), (0, ""), out)
        self.assertEqual([line for line in out.split("\n") if len(line) >= 80 or not line.isprintable()], [])
        self.assertIn("forkserver: map: 'no-such-word': killed by SIGSEGV", out)
        self.assertIn("100 of 100", out)
        if shutil.which("gnuplot"):
            with open(self.picture) as file:
                self.assertIn("forkserver map", file.read())

    def test_wrong_answer(self):
        build = os.path.join(self.directory, "build")
        os.makedirs(os.path.join(build, "examples"))
        os.symlink(os.path.join(BUILD, "src"), os.path.join(build, "src"))
        os.symlink(os.path.join(BUILD, "examples", "search.so"), os.path.join(build, "examples", "search.so"))
        with open(os.path.join(build, "examples", "search"), "w") as file:
            file.write(WRONG_PROGRAM)
        os.chmod(file.name, 0o755)
        code, _, errors = self.run_demo(build)
        self.assertEqual(code, 1)
        self.assertRegex(errors, "^demo: this is wrong: these answers differ: ")

    def test_interrupt(self):
        process = self.start()
        while not process.stdout.readline().startswith("1."):
            pass
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=LIMIT)
        self.assertEqual((process.returncode, errors), (130, ""))
        self.assertTrue(out.endswith("The demo was stopped.\n"), out)
        self.assertEqual(os.listdir(self.place), [])


if __name__ == "__main__":
    unittest.main()
