# SPDX-License-Identifier: MIT
"""What a child is: the same interpreter, in the same state, as a child of the stock fork server, and it ends like
one."""

import json
import os
import subprocess
import sys
import unittest

from test_forkserver import WAIT_FOR_MAIN
from program import LIMIT, Program

FACTS = """
import json, multiprocessing, os, sys

def collect(path):
    import atexit, concurrent.futures.thread, gc, locale, signal, threading
    from multiprocessing import context, resource_tracker, util
    me, main = multiprocessing.current_process(), sys.modules["__main__"]
    spec, parent = getattr(main, "__spec__", None), multiprocessing.parent_process().pid
    facts = {
        "main thread": (threading.main_thread() is threading.current_thread(), threading.current_thread().name),
        "thread's id": threading.get_native_id() == os.getpid(),
        "threads": threading.active_count(),
        "atexit": (atexit._ncallbacks(), len(getattr(threading, "_threading_atexits", ()))),
        "process": (me.name, me.daemon, me.pid == os.getpid(), len(me.authkey), hasattr(me, "_inheriting"),
                    sorted(me._config)),
        "start": (multiprocessing.get_start_method(), context.get_spawning_popen()),
        "handlers": {number.name: str(signal.getsignal(number)) for number in signal.Signals},
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "wakeup": signal.set_wakeup_fd(-1),
        "flags": (str(sys.flags), sys.warnoptions, sys._xoptions),
        "words": (sys.path, sys.argv, sys.executable, sys.prefix, sys.base_prefix),
        "main": (main.__name__, main.__file__, spec and spec.name, main is sys.modules["__mp_main__"],
                 sorted(vars(main))),
        "gc": (gc.isenabled(), gc.get_threshold(), gc.get_debug(), len(gc.callbacks)),
        "frozen": gc.get_freeze_count() > 0,
        "stdin": (sys.stdin.encoding, sys.stdin.errors, sys.stdin.mode, sys.stdin.read(), sys.stdin is sys.__stdin__,
                  sys.__stdin__.closed, os.get_inheritable(sys.stdin.fileno()),
                  os.path.realpath(f"/proc/self/fd/{sys.stdin.fileno()}")),
        "stdout": (sys.stdout.encoding, sys.stdout.errors, sys.stdout.line_buffering, sys.stdout.write_through),
        "stderr": (sys.stderr.encoding, sys.stderr.errors, sys.stderr.line_buffering, sys.stderr.write_through),
        "locale": (locale.setlocale(locale.LC_ALL), sys.getfilesystemencoding()),
        "executors": concurrent.futures.thread._shutdown,
        "finalizers": (len(util._finalizer_registry), len(util._afterfork_registry), util._exiting, util._logger),
        "tracker": resource_tracker._resource_tracker._pid,
        "system": (os.getcwd(), os.nice(0), os.getpgid(0) == os.getpgid(parent), os.getsid(0) == os.getsid(parent)),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval(), sys.gettrace(), sys.getprofile()),
        "hooks": (sys.excepthook is sys.__excepthook__, sys.breakpointhook is sys.__breakpointhook__),
    }
    with open(path, "w") as file: json.dump(facts, file)

if __name__ == "__main__":
    multiprocessing.set_start_method("forkserver")
    process = multiprocessing.Process(target=collect, args=(sys.argv[1],), name="N")
    process.start(); process.join()
    sys.exit(process.exitcode)
"""

# What is meant to be different: (the stock's, ours).
DELIBERATE = {
    # gc.freeze() after preloading; 3.12 counts what it made immortal
    "frozen": (sys.version_info[:2] == (3, 12), True),
}


class State(Program):
    maxDiff = None

    def test_as_a_child_of_the_stock_server(self):
        script = self.write("script.py", FACTS)
        facts = []
        for name, words in (("stock", ()), ("ours", ("-m", "forkserver"))):
            self.execute(*words, script, name)
            self.assertEqual(self.errors, "")
            with open(os.path.join(self.directory.name, name)) as file:
                facts.append(json.load(file))
            facts[-1]["words"][1].remove(name)
        stock, ours = facts
        for key, expected in DELIBERATE.items():
            self.assertEqual((stock.pop(key), ours.pop(key)), expected, key)
        self.assertEqual(stock, ours)

    FLAGS = """
        import json, multiprocessing, sys
        def get(): return [list(sys.flags), sys.warnoptions, sys._xoptions, __debug__, sys.prefix, sys.executable]
        def child(connection): connection.send(get())
        if __name__ == "__main__":
            here, there = multiprocessing.Pipe()
            process = multiprocessing.Process(target=child, args=(there,))
            process.start(); process.join()
            print(here.recv() == get(), process.exitcode, json.dumps(get()))
    """

    def check_flags(self, output, *, prefix=sys.prefix):
        same, code, values = output.split(maxsplit=2)
        self.assertEqual((same, code), ("True", "0"), output)
        self.assertEqual(json.loads(values)[4], prefix)

    def test_interpreter_flags(self):
        path = self.write("script.py", self.FLAGS)
        for words in (["-O"], ["-OO"], ["-X", "dev"], ["-X", "utf8"],
                      ["-W", "error::UserWarning", "-W", "ignore::ImportWarning"],
                      ["-B", "-s"], ["-u"], ["-b", "-q"]):
            with self.subTest(words=words):
                self.check_flags(self.execute(*words, "-m", "forkserver", path))
                self.assertEqual(self.errors, "")

    def test_a_warning_is_an_error_in_the_child_too(self):
        path = self.write("script.py", """
            import multiprocessing, warnings
            def child(): warnings.warn("now")
            if __name__ == "__main__":
                process = multiprocessing.Process(target=child)
                process.start(); process.join()
                print(process.exitcode)
        """)
        self.assertEqual(self.execute("-W", "error::UserWarning", "-m", "forkserver", path), "1\n")
        self.assertIn("UserWarning: now", self.errors)

    def test_in_a_virtual_environment_isolated(self):
        import forkserver

        package = os.path.dirname(forkserver.__file__)
        venv = os.path.join(self.directory.name, "venv")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=LIMIT)
        site = os.path.join(venv, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
        with open(os.path.join(site, "package.pth"), "w") as file:
            file.write(os.path.dirname(package) + "\n")
        path = self.write("script.py", self.FLAGS)
        for words in ([], ["-I"]):
            output = self.execute(*words, "-m", "forkserver", path, interpreter=os.path.join(venv, "bin", "python3"),
                                  env=self.environment(PYTHONPATH=None))
            self.check_flags(output, prefix=venv)
            self.assertEqual(self.errors, "")

    def test_set_executable(self):
        wrapper = self.write("wrapper", f"""\
            #!/bin/sh
            echo "$*" >>started
            exec {sys.executable} "$@"
        """)
        os.chmod(wrapper, 0o755)
        self.assertEqual(self.run_silent("""
            import multiprocessing, os
            if __name__ == "__main__":
                multiprocessing.set_executable(os.path.abspath("wrapper"))
                process = multiprocessing.Process(target=print, args=("ran",))
                process.start(); process.join()
        """), "ran\n")
        self.assertTrue(os.path.exists(os.path.join(self.directory.name, "started")))

    def test_hash_seeds(self):
        text = """
            import multiprocessing
            def child(queue): queue.put(hash("word"))
            if __name__ == "__main__":
                queue = multiprocessing.Queue()
                processes = [multiprocessing.Process(target=child, args=(queue,)) for _ in range(3)]
                for process in processes: process.start()
                hashes = {queue.get(timeout=30) for _ in processes}
                for process in processes: process.join()
                print(len(hashes), hashes == {hash("word")})
        """
        self.assertEqual(self.run_silent(text), "1 False\n")
        self.assertEqual(self.run_silent(text, env=self.environment(PYTHONHASHSEED="5")), "1 True\n")


class Threads(Program):
    def test_a_thread_pool_in_a_child(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing
            from concurrent.futures import ThreadPoolExecutor
            def child(depth):
                with ThreadPoolExecutor(2) as executor: print(list(executor.map(abs, (-1, -2))), flush=True)
                print(ThreadPoolExecutor(1).submit(abs, -3).result(30), flush=True)  # not shut down
                if depth:
                    process = multiprocessing.Process(target=child, args=(depth - 1,))
                    process.start(); process.join()
                    assert process.exitcode == 0
            if __name__ == "__main__":
                process = multiprocessing.Process(target=child, args=(1,))
                process.start(); process.join()
                print(process.exitcode)
        """), "[1, 2]\n3\n" * 2 + "0\n")

    def test_threads_are_joined_at_the_end(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing, threading
            def work(event):
                event.wait(30)
                print("the thread's end", flush=True)
            def child(event, connection):
                threading.Thread(target=work, args=(event,)).start()
                threading.Thread(target=threading.Event().wait, daemon=True).start()
                connection.send("the child's end")
            if __name__ == "__main__":
                event, (here, there) = multiprocessing.Event(), multiprocessing.Pipe()
                process = multiprocessing.Process(target=child, args=(event, there))
                process.start()
                print(here.recv(), process.is_alive(), flush=True)
                event.set()
                process.join()
                print(process.exitcode)
        """), "the child's end True\nthe thread's end\n0\n")

    def test_asyncio_and_subprocesses(self):
        self.assertEqual(self.run_silent("""
            import asyncio, multiprocessing, os, subprocess, sys
            async def work():
                process = await asyncio.create_subprocess_exec("sh", "-c", "echo out; exit 3", stdout=subprocess.PIPE)
                return (await process.communicate())[0], process.returncode
            def child():
                print(asyncio.run(work()), flush=True)
                words = [sys.executable, "-c", "print(5)"]
                print(subprocess.run(words, stdout=subprocess.PIPE, timeout=30).stdout, flush=True)
                pid = os.fork()
                if pid == 0: os._exit(4)
                print(os.waitpid(pid, 0)[1] >> 8, flush=True)
            if __name__ == "__main__":
                process = multiprocessing.Process(target=child)
                process.start(); process.join()
                print(process.exitcode)
        """), "(b'out\\n', 3)\nb'5\\n'\n4\n0\n")

    def test_processes_started_by_threads(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing, sys, threading
            def grandchild(i): sys.exit(i)
            def one(i, codes):
                process = multiprocessing.Process(target=grandchild, args=(i,))
                process.start(); process.join()
                codes.append(process.exitcode)
            def child():
                codes = []
                threads = [threading.Thread(target=one, args=(i, codes)) for i in range(6)]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
                print(sorted(codes), flush=True)
            if __name__ == "__main__":
                process = multiprocessing.Process(target=child)
                process.start(); process.join()
                print(process.exitcode)
        """), "[0, 1, 2, 3, 4, 5]\n0\n")


class Ends(Program):
    def test_exit_codes(self):
        self.assertEqual(self.run_script("""
            import ctypes, multiprocessing, os, resource, signal, sys
            def crash():
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                ctypes.string_at(0)
            def interrupt(): raise KeyboardInterrupt
            if __name__ == "__main__":
                for target, args in ((sys.exit, ()), (sys.exit, (None,)), (sys.exit, ("a word",)), (sys.exit, (300,)),
                                     (sys.exit, (-1,)), (sys.exit, (True,)),
                                     (sys.exit, ((1, 2),)), (os._exit, (5,)), (os.abort, ()), (crash, ()),
                                     (os.kill, (0, 0)), (interrupt, ())):
                    process = multiprocessing.Process(target=target, args=args)
                    process.start(); process.join()
                    print(process.exitcode, end=" ")
        """), "0 0 1 44 255 1 1 5 -6 -11 0 1 ")
        self.assertIn("a word", self.errors)
        self.assertIn("KeyboardInterrupt", self.errors)

    def test_a_code_that_is_no_int_of_c(self):
        self.assertEqual(self.run_script("""
            import multiprocessing, sys
            if __name__ == "__main__":
                for code in (1 << 40, 1 << 70):
                    process = multiprocessing.Process(target=sys.exit, args=(code,))
                    process.start(); process.join()
                    print(process.exitcode is not None)
        """), "True\n" * 2)

    def test_exit_functions(self):
        text = """
            import atexit, multiprocessing, os
            from multiprocessing import util
            def say(what): os.write(1, f"{what} in {__name__}\\n".encode())
            atexit.register(say, "main's")
            util.Finalize(None, say, args=("main's finalizer",), exitpriority=1)
            def child():
                atexit.register(say, "child's")
                util.Finalize(None, say, args=("child's finalizer",), exitpriority=1)
            if __name__ == "__main__":
                process = multiprocessing.Process(target=child)
                process.start(); process.join()
        """
        # Before 3.13 multiprocessing's children didn't call what was registered with atexit. What the main module
        # registers is registered where each child imports it, and so it is where it was imported for them.
        own = ["child's in __mp_main__", "main's in __mp_main__"] if sys.version_info >= (3, 13) else []
        lines = self.run_silent(text).splitlines()
        self.assertEqual(sorted(lines[:-2]), sorted([*own, "child's finalizer in __mp_main__"]))
        self.assertEqual(sorted(lines[-2:]), ["main's finalizer in __main__", "main's in __main__"])

    def test_exit_functions_of_a_preloaded_module(self):
        """They run once, at the server's end, though the zygote that has loaded it has handed over to another."""
        self.write("there.py", """
            import atexit, os
            atexit.register(lambda: os.write(2, b"the end of what was loaded\\n"))
        """)
        self.assertEqual(self.run_script("""
            import multiprocessing, multiprocessing.forkserver, os
            def child(): print("child", flush=True)
            if __name__ == "__main__":
                multiprocessing.forkserver.set_forkserver_preload(["__main__", "there"], on_error="fail")
                for _ in range(2):
                    process = multiprocessing.Process(target=child)
                    process.start(); process.join()
                os.write(2, b"the end of the program\\n")
        """), "child\n" * 2)
        self.assertEqual(self.errors, "the end of the program\nthe end of what was loaded\n")

    def test_a_signal_that_the_zygote_uses(self):
        """SIGSYS, by which it forks, is at its default in a child, also where there is no main module to try."""
        self.assertEqual(self.execute("-m", "forkserver", "-c", "import multiprocessing, os, signal\n"
                                      "process = multiprocessing.Process(target=signal.raise_signal, args=(31,))\n"
                                      "process.start(); process.join(); print(process.exitcode)"), "-31\n")

    def test_an_exit_function_that_fails(self):
        self.assertEqual(self.run_script("""
            import multiprocessing
            from multiprocessing import util
            def fail(): raise ValueError("on purpose")
            def child(): util.Finalize(None, fail, exitpriority=1)
            if __name__ == "__main__":
                process = multiprocessing.Process(target=child)
                process.start(); process.join()
                print(process.exitcode)
        """), "0\n")
        self.assertIn("ValueError: on purpose", self.errors)

    def test_logging(self):
        self.run_script("""
            import logging, multiprocessing
            def child(): multiprocessing.get_logger().warning("the child's word")
            if __name__ == "__main__":
                multiprocessing.log_to_stderr(logging.INFO)
                process = multiprocessing.Process(target=child, name="N")
                process.start(); process.join()
        """)
        for line in ("[INFO/N] child process calling self.run()", "[WARNING/N] the child's word",
                     "[INFO/N] process exiting with exitcode 0", "[INFO/MainProcess] process shutting down"):
            self.assertIn(line, self.errors)

    def test_output_is_flushed_at_the_end(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing, sys
            def child(how): sys.stdout.write("written "); sys.exit(how)
            if __name__ == "__main__":
                for how in (0, 3):
                    process = multiprocessing.Process(target=child, args=(how,))
                    process.start(); process.join()
                print(process.exitcode)
        """), "written written 3\n")

    def test_daemons_end_with_their_parent(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing, signal
            def child(connection): connection.send("ready"); signal.pause()
            if __name__ == "__main__":
                here, there = multiprocessing.Pipe()
                for _ in range(2):
                    multiprocessing.Process(target=child, args=(there,), daemon=True).start()
                    print(here.recv())
        """), "ready\n" * 2)

    def test_a_child_notices_its_parents_death(self):
        process = self.start("-m", "forkserver", self.write("script.py", """
            import multiprocessing, os
            def child(connection):
                connection.send("ready")
                multiprocessing.parent_process().join()
                with open("noticed", "w") as file: file.write(str(multiprocessing.parent_process().is_alive()))
            if __name__ == "__main__":
                here, there = multiprocessing.Pipe()
                process = multiprocessing.Process(target=child, args=(there,))
                process.start()
                print(here.recv(), flush=True)
                process.join()
        """))
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.kill()
        self.finish(process, code=-9)
        with open(os.path.join(self.directory.name, "noticed")) as file:
            self.assertEqual(file.read(), "False")


class Immortal(Program):
    def test_finalizers_run_in_a_child(self):
        """Since 3.12 the zygote makes objects immortal. Nothing that a child drops may have been kept by that: what a
        function, a class, a tuple or a cell holds, and what a weak reference tells of."""
        self.assertEqual(self.run_silent("""
            import multiprocessing, multiprocessing.forkserver, sys, tempfile, weakref
            class Thing:
                def __init__(self, name): self.name = name
                def __del__(self): print(self.name, end=" ")
            def defaults(a=Thing("default")): pass
            def keywords(*, a=Thing("keyword")): pass
            def attribute(): pass
            attribute.thing = Thing("attribute")
            def make(thing):
                def inner(): return thing
                return inner
            closure = make(Thing("closure"))
            pair = (1, (2, Thing("tuple")))
            class Watched: pass
            class Holder: thing = Thing("held")
            def watched(): pass
            seen = [weakref.ref(watched, lambda _: print("function", end=" ")),
                    weakref.ref(Watched, lambda _: print("class", end=" "))]
            def child():
                import gc
                for name in ("defaults", "keywords", "attribute", "closure", "pair", "watched", "Watched",
                             "Holder"):
                    for names in (globals(), vars(sys.modules["__mp_main__"])): names.pop(name, None)
                    gc.collect()
                gc.unfreeze()  # a class is in a circle with itself
                gc.collect()
                print(flush=True)
            if __name__ == "__main__":
                WAIT
                process = multiprocessing.get_context("forkserver").Process(target=child)
                process.start(); process.join()
                sys.stdout.flush()
                import os; os._exit(0)
        """.replace("WAIT", WAIT_FOR_MAIN)), "default keyword attribute closure tuple function class held \n")


if __name__ == "__main__":
    unittest.main()
