# SPDX-License-Identifier: MIT
"""forkserver check: modules as operands, --strict, and what it costs a process to end; --quick-exit of map."""

import json
import re
import subprocess

import pytest

from spawner import LIMIT
from test_run import build_module  # noqa: F401 (a fixture)


@pytest.fixture
def call(forkserver, tmp_path):
    def run(*words, stdin=""):
        result = subprocess.run([forkserver, *map(str, words)], input=stdin, capture_output=True, text=True,
                                timeout=LIMIT, cwd=tmp_path)
        return result.returncode, result.stdout, result.stderr
    return run


@pytest.fixture
def built(tmp_path):
    """Makes ./m.so, whose destructor does what the source says."""
    def build(work):
        (tmp_path / "m.c").write_text(f"""#include <signal.h>
            #include <stdlib.h>
            #include <stdio.h>
            #include <string.h>
            #include <unistd.h>
            static char *memory;
            __attribute__((constructor)) static void load(void) {{ memset(memory = malloc(1 << 20), 1, 1 << 20); }}
            __attribute__((destructor)) static void end(void) {{ {work} }}
            int plain(int argc, char **argv) {{ (void)argc; (void)argv; return 0; }}""")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "m.so", tmp_path / "m.c"], check=True)
        return "./m.so"
    return build


def test_modules_as_operands(call, testmod, module):
    code, out, err = call("check", testmod, "libm.so.6")
    assert (code, err) == (0, "")
    assert out.startswith(f"{testmod}: no risk found\n") and "\nlibm.so.6: no risk found" in out
    assert out.endswith("\n2 modules: 2 with no risk found, 0 risky, 0 failing\n")
    assert call("check", "--preload", testmod, "libm.so.6")[1].endswith("2 with no risk found, 0 risky, 0 failing\n")
    assert call("check", testmod, module("crash_on_load"))[0] == 1


def test_what_was_tried_is_said(call, testmod, sanitized):
    out = call("check", testmod)[1]
    assert re.search(r"page-table entries more \(some \d+ us\)$", out, re.M)
    assert re.search(r"^A process that does nothing but end takes \d+ us of CPU time and \d+ page faults; \d+ us and "
                     r"\d+ with --quick-exit\.$", out, re.M)
    assert "\nTried: " in out and " Not tried: " in out and (sanitized or "recommended" not in out)


def test_strict(call, testmod, module, monkeypatch):
    assert call("check", "--strict", testmod)[0] == 0
    monkeypatch.setenv("LEAVES", "epoll")
    assert call("check", module("leaves"))[0] == 0
    code, out, _ = call("check", "--strict", module("leaves"))
    assert code == 1 and "risky: " in out


def test_quick_exit_is_recommended(call, built):
    """For a destructor that writes to what was preloaded."""
    name = built("memset(memory, 2, 1 << 20);")
    code, out, _ = call("check", "--strict", name)
    assert code == 0 and "--quick-exit is recommended" in out
    trial = json.loads(call("check", "--json", name)[1])["exit"]
    assert trial["verdict"] == "costly" and trial["faults"] >= trial["quick_faults"] + 200


@pytest.mark.parametrize("work, words", [("raise(SIGABRT);", "is killed by SIGABRT"),
                                         ("raise(SIGSEGV);", "is killed by SIGSEGV")])
def test_a_module_that_crashes_at_the_end(call, built, work, words):
    name = built(work)
    code, out, _ = call("check", name)
    assert code == 0 and f"risky: a process that does nothing but end {words}" in out
    assert call("check", "--strict", name)[0] == 1
    assert json.loads(call("check", "--json", name)[1])["exit"]["verdict"] == "risky"


def test_exit_is_not_tried_after_a_failure(call, module):
    code, out, _ = call("check", "--json", module("crash_on_load"))
    assert code == 1 and json.loads(out)["exit"]["verdict"] == "untried"


def test_quick_exit_of_map(call, built):
    name = built('write(1, "destroyed\\n", 10);')
    assert call("map", "--preload", name, "--call", "./m.so:plain", stdin="x\n")[1] == "destroyed\n"
    assert call("map", "--quick-exit", "--preload", name, "--call", "./m.so:plain", stdin="x\n") == (0, "", "")
    code, _, err = call("map", "--quick-exit", "true", stdin="x\n")
    assert code == 125 and "--quick-exit is for --call" in err


def test_nothing_can_be_forked(call, build_module):
    module = build_module("aborts", """#include <pthread.h>
        #include <stdlib.h>
        static void bad(void) { abort(); }
        __attribute__((constructor)) static void f(void) { pthread_atfork(0, 0, bad); }""")
    code, out, _ = call("check", module)
    assert code == 1 and "fails: with all of them loaded no process can be made: " in out
    code, out, _ = call("check", "--json", module)
    assert code == 1 and json.loads(out)["exit"]["verdict"] == "fails"


def test_what_the_tried_processes_print_is_not_the_report(call, built):
    code, out, err = call("check", "--json", built("puts(\"ended\");"))
    assert code == 0 and json.loads(out)["exit"]["verdict"] == "good" and "ended\n" in err
