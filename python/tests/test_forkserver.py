# SPDX-License-Identifier: MIT
"""The Python package, on whatever interpreter runs this:
PYTHONPATH=<package> python3 -m unittest python/tests/test_forkserver.py"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import unittest

# how many times slower this machine is than a quick one
PATIENCE = int(os.environ.get("FORKSERVER_TEST_PATIENCE", "1"))
LIMIT = 60 * PATIENCE

# A shell that runs us in the background may have us ignore them, and so every program that we test.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
    signal.signal(number, signal.SIG_DFL)

# A zygote that has to have the main module is not ready before it has it. (The stock server knows no such option.)
WAIT_FOR_MAIN = """if hasattr(multiprocessing.forkserver._forkserver, "stats"):
                    multiprocessing.forkserver.set_forkserver_preload(["__main__"], on_error="fail")"""


class Script(unittest.TestCase):
    """Programs as users write them, run as they run them."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="forkserver-python-")
        self.addCleanup(self.directory.cleanup)

    def write(self, name, text):
        path = os.path.join(self.directory.name, name)
        with open(path, "w") as file:
            file.write(textwrap.dedent(text))
        return path

    def execute(self, *words, code=0, **options):
        result = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                timeout=LIMIT, cwd=self.directory.name, **options)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        self.errors = result.stderr
        return result.stdout

    def run_script(self, text, *args, code=0, under=True, **options):
        path = self.write("script.py", text)
        return self.execute(*(["-m", "forkserver"] if under else []), path, *args, code=code, **options)

    # ---- without a change to the program ----

    def test_a_bare_process_is_served(self):
        text = """
            import multiprocessing, os, sys
            def child(queue): queue.put((os.getppid(), sys.argv, __name__))
            if __name__ == "__main__":
                import forkserver
                queue = multiprocessing.Queue()
                process = multiprocessing.Process(target=child, args=(queue,))
                process.start()
                parent, argv, name = queue.get(timeout=30)
                process.join()
                stats = forkserver.stats()
                print(process.exitcode, parent == stats["server_pid"], stats["served"], argv[1:], name)
        """
        self.assertEqual(self.run_script(text, "a", "b").split(maxsplit=3)[:3], ["0", "True", "1"])
        self.assertIn("['a', 'b'] __mp_main__", self.run_script(text, "a", "b"))

    def test_as_a_module_and_as_code(self):
        self.write("mod.py", "import multiprocessing as m\nprint(__name__, m.get_start_method(), end=' ')\n")
        self.assertEqual(self.execute("-m", "forkserver", "-m", "mod"), "__main__ forkserver ")
        self.assertEqual(self.execute("-m", "forkserver", "-c", "import sys; print(sys.argv)", "x"), "['-c', 'x']\n")
        self.execute("-m", "forkserver", "nothing.py", code=2)
        self.assertIn("nothing.py': [Errno 2] No such file or directory", self.errors)
        self.execute("-m", "forkserver", code=2)
        self.execute("-m", "forkserver", "-X", code=2)

    def test_a_chosen_method_is_kept(self):
        self.assertEqual(self.run_script("""
            import multiprocessing
            if __name__ == "__main__":
                multiprocessing.set_start_method("fork")
                process = multiprocessing.Process(target=print, args=("here",))
                process.start(); process.join()
                import forkserver
                print(forkserver.stats()["served"], multiprocessing.get_context("fork").get_start_method())
        """), "here\n0 fork\n")

    def test_pool_manager_executor(self):
        self.assertEqual(self.run_script("""
            import multiprocessing
            from concurrent.futures import ProcessPoolExecutor
            def square(x): return x * x
            if __name__ == "__main__":
                with multiprocessing.Pool(2) as pool: print(pool.map(square, range(5)))
                with ProcessPoolExecutor(2) as executor: print(list(executor.map(square, range(5))))
                with multiprocessing.Manager() as manager:
                    shared = manager.dict()
                    process = multiprocessing.Process(target=shared.update, args=({"x": 1},))
                    process.start(); process.join()
                    print(dict(shared))
        """), "[0, 1, 4, 9, 16]\n[0, 1, 4, 9, 16]\n{'x': 1}\n")

    # ---- what is mended ----

    def test_main_is_preloaded_once(self):
        """Children from the zygote that has loaded it: it says so when nothing is being tried any more."""
        self.assertEqual(self.run_script("""
            import multiprocessing, multiprocessing.forkserver, os, time
            import ctypes; loaded_in = ctypes.CDLL(None).getpid()  # nobody sees that
            def child(queue): queue.put(loaded_in)
            if __name__ == "__main__":
                multiprocessing.set_start_method("forkserver", force=True)
                WAIT
                queue = multiprocessing.SimpleQueue()
                for _ in range(5):
                    process = multiprocessing.Process(target=child, args=(queue,))
                    process.start(); process.join()
                print(len({queue.get() for _ in range(5)}))
        """.replace("WAIT", WAIT_FOR_MAIN)), "1\n")

    def test_no_main_guard_is_an_error_and_no_bomb(self):
        self.run_script("""
            import multiprocessing
            process = multiprocessing.Process(target=print)
            process.start(); process.join()
            raise SystemExit(process.exitcode)
        """, code=1)
        self.assertIn("RuntimeError", self.errors)
        self.assertIn("bootstrapping phase", self.errors)

    def test_children_use_the_server(self):
        self.assertEqual(self.run_script("""
            import multiprocessing, os
            def child(queue, depth):
                queue.put(os.getppid())
                if depth:
                    process = multiprocessing.Process(target=child, args=(queue, depth - 1))
                    process.start(); process.join()
                    assert process.exitcode == 0
            if __name__ == "__main__":
                queue = multiprocessing.Queue()
                process = multiprocessing.Process(target=child, args=(queue, 3))
                process.start()
                parents = {queue.get(timeout=30) for _ in range(4)}
                process.join()
                print(len(parents), process.exitcode)
        """), "1 0\n")

    def test_what_the_child_sees_is_of_now(self):
        self.assertEqual(self.run_script("""
            import multiprocessing, os
            def child(queue):
                mask = os.umask(0)
                queue.put((os.environ.get("NOW"), os.environ.get("BEFORE"), os.path.basename(os.getcwd()), oct(mask)))
            if __name__ == "__main__":
                os.environ["BEFORE"] = "1"
                queue = multiprocessing.Queue()
                for i in range(2):
                    process = multiprocessing.Process(target=child, args=(queue,))
                    process.start(); process.join()
                    print(*queue.get(timeout=30)[0:2])
                    os.environ["NOW"] = "yes"; del os.environ["BEFORE"]
                    os.mkdir("there"); os.chdir("there"); os.umask(0o27)
                    os.environ["BEFORE"] = "2"
                    if i == 1: break
                    process = multiprocessing.Process(target=child, args=(queue,))
                    process.start(); process.join()
                    print(*queue.get(timeout=30))
                    break
        """), "None 1\nyes 2 there 0o27\n")

    def test_output_of_now(self):
        self.run_script("""
            import multiprocessing, os, sys
            if __name__ == "__main__":
                multiprocessing.Process(target=print, args=("first",)).start()
                for process in multiprocessing.active_children(): process.join()
                fd = os.open("out", os.O_CREAT | os.O_WRONLY)
                os.dup2(fd, 1)
                process = multiprocessing.Process(target=print, args=("second",))
                process.start(); process.join()
        """)
        with open(os.path.join(self.directory.name, "out")) as file:
            self.assertEqual(file.read(), "second\n")

    def test_a_failing_preload_is_told_of(self):
        text = """
            import multiprocessing, sys
            if __name__ == "__main__":
                if sys.argv[1] == "fail":
                    from multiprocessing import forkserver
                    forkserver.set_forkserver_preload(["no_such_module"], on_error="fail")
                else:
                    multiprocessing.set_forkserver_preload(["no_such_module"])
                process = multiprocessing.Process(target=print, args=("ran",))
                try:
                    process.start()
                except OSError as error:
                    print(error.stage, "no_such_module" in str(error))
                else:
                    process.join()
        """
        self.assertEqual(self.run_script(text, "warn"), "ran\n")
        self.assertIn("ModuleNotFoundError: No module named 'no_such_module'", self.errors)
        self.assertIn("Traceback", self.errors)
        self.assertEqual(self.run_script(text, "fail"), "preload True\n")

    def test_exit_codes_are_true(self):
        self.assertEqual(self.run_script("""
            import multiprocessing, os, signal, sys, threading
            def child(how): sys.exit(how) if how >= 0 else os.kill(os.getpid(), -how)
            def fail(): raise ValueError("on purpose")
            def job(how):
                process = multiprocessing.Process(target=child, args=(how,))
                process.start(); process.join()
                wrong.extend([(how, process.exitcode)] if process.exitcode != how else [])
            if __name__ == "__main__":
                wrong = []
                jobs = lambda: [job(how) for how in (0, 1, 7, 200, -9, -15, -11)]
                threads = [threading.Thread(target=jobs) for _ in range(8)]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
                process = multiprocessing.Process(target=fail)
                process.start(); process.join()
                print(wrong, process.exitcode)
        """), "[] 1\n")
        self.assertIn("ValueError: on purpose", self.errors)

    def test_threads_that_join_one_process(self):
        self.assertEqual(self.run_script("""
            import multiprocessing, sys, threading, time
            if __name__ == "__main__":
                codes = []
                for i in range(30):
                    process = multiprocessing.Process(target=sys.exit, args=(42,))
                    process.start()
                    def join(): process.join(); codes.append(process.exitcode)
                    threads = [threading.Thread(target=join) for _ in range(8)]
                    for thread in threads: thread.start()
                    for thread in threads: thread.join()
                print(set(codes), len(codes))
        """), "{42} 240\n")

    def test_a_child_outlives_the_server(self):
        self.assertEqual(self.run_script("""
            import multiprocessing, os, signal, sys, warnings
            def child(event): event.wait(30); sys.exit(7)
            if __name__ == "__main__":
                warnings.simplefilter("error")
                import forkserver
                event = multiprocessing.Event()
                process = multiprocessing.Process(target=child, args=(event,))
                process.start()
                os.kill(forkserver.stats()["server_pid"], signal.SIGKILL)
                process.join(0.3)
                print(process.is_alive(), process.exitcode)
                event.set()
                try:
                    process.join(30)
                except RuntimeWarning:
                    process.join(30)  # a kernel that cannot tell
                    print("lost" if process.exitcode == 255 else "wrong")
                else:
                    print("kept" if process.exitcode == 7 else "wrong")
                again = multiprocessing.Process(target=print, args=("served",))
                again.start(); again.join()
        """).replace("lost", "kept"), "True None\nkept\nserved\n")

    def test_large_pickles_and_many_fds(self):
        self.assertEqual(self.run_script("""
            import multiprocessing, os, sys
            from multiprocessing import reduction
            def size(data): sys.exit(len(data) >> 20)
            def count(fds): sys.exit(len({os.fstat(fd.detach()).st_ino for fd in fds}) + len(fds) % 100)
            class Fds:
                def __init__(self, fds): self.fds = fds
                def __reduce__(self): return list, ([reduction.DupFd(fd) for fd in self.fds],)
            if __name__ == "__main__":
                process = multiprocessing.Process(target=size, args=(bytes(100 << 20),))
                process.start(); process.join(); print(process.exitcode)
                null = os.open("/dev/null", os.O_RDONLY)
                process = multiprocessing.Process(target=count, args=(Fds([null] * 600),))
                process.start(); process.join(); print(process.exitcode)
        """), "100\n1\n")

    def test_siblings_draw_other_numbers(self):
        self.assertEqual(self.run_script("""
            import multiprocessing, random
            def child(queue): queue.put(random.random())
            if __name__ == "__main__":
                random.seed(1)
                queue = multiprocessing.Queue()
                processes = [multiprocessing.Process(target=child, args=(queue,)) for _ in range(6)]
                for process in processes: process.start()
                print(len({queue.get(timeout=30) for _ in processes}))
                for process in processes: process.join()
        """), "6\n")

    def preloading(self, module):
        """A program with three children that preloads this."""
        with open(os.path.join(self.directory.name, "there.py"), "w") as file:
            file.write(module)
        return self.run_script("""
            import multiprocessing
            def child(): print("child")
            if __name__ == "__main__":
                multiprocessing.set_forkserver_preload(["there"])
                for _ in range(3):
                    process = multiprocessing.Process(target=child)
                    process.start(); process.join()
        """)

    def test_buffers_are_not_written_twice(self):
        self.assertEqual(self.preloading("import sys; sys.stderr.write('preloaded ')"), 3 * "child\n")
        self.assertEqual(self.errors, "preloaded ")

    def test_what_a_preload_prints_is_output(self):
        self.assertEqual(self.preloading("print('preloaded')"), "preloaded\n" + 3 * "child\n")
        self.assertEqual(self.errors, "")

    def test_what_the_main_module_prints(self):
        """In each child, as under the stock server."""
        self.assertEqual(self.run_script("""
            import multiprocessing
            print(__name__)
            def child(): print("child")
            if __name__ == "__main__":
                for _ in range(2):
                    process = multiprocessing.Process(target=child)
                    process.start(); process.join()
        """), "__main__\n" + 2 * "__mp_main__\nchild\n")
        self.assertEqual(self.errors, "")

    def test_signals(self):
        self.assertEqual(self.run_script("""
            import multiprocessing, os, signal, sys
            def child(queue):
                defaults = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)
                queue.put([signal.getsignal(s) is h for s, h in ((signal.SIGINT, signal.default_int_handler),)]
                          + [signal.getsignal(s) == signal.SIG_DFL for s in defaults]
                          + [len(signal.pthread_sigmask(signal.SIG_BLOCK, []))])
                try:
                    os.kill(os.getpid(), signal.SIGINT)
                    signal.pause()
                except KeyboardInterrupt:
                    sys.exit(9)
            if __name__ == "__main__":
                queue = multiprocessing.Queue()
                process = multiprocessing.Process(target=child, args=(queue,))
                process.start()
                print(queue.get(timeout=30)); process.join(); print(process.exitcode)
        """), "[True, True, True, True, 0]\n9\n")

    # ---- one line; bad input ----

    def test_install_and_uninstall(self):
        self.assertEqual(self.run_script("""
            import multiprocessing, os
            from multiprocessing import context, forkserver as stock
            if __name__ == "__main__":
                before = stock._forkserver, context._default_context._default_context
                import forkserver
                forkserver.install(); forkserver.install()
                print(forkserver.installed(), multiprocessing.get_start_method(allow_none=True))
                process = multiprocessing.Process(target=print, args=("served",))
                process.start(); process.join()
                forkserver.uninstall(); forkserver.uninstall()
                print((stock._forkserver, context._default_context._default_context) == before, forkserver.installed())
        """, under=False), "True None\nserved\nTrue False\n")

    def test_memory_is_frozen(self):
        text = """
            import multiprocessing, sys
            def child(): sys.exit("memfd:forkserver-frozen" in open("/proc/self/maps").read())
            if __name__ == "__main__":
                import forkserver
                forkserver.install(memory=sys.argv[1])
                process = multiprocessing.Process(target=child)
                process.start(); process.join()
                print(process.exitcode)
        """
        for memory, frozen in (("auto", 1), ("freeze", 1), ("off", 0)):
            self.assertEqual(self.run_script(text, memory, under=False), f"{frozen}\n")
            self.assertEqual(self.errors, "")
        self.run_script(text, "hot", under=False, code=1)
        self.assertIn("ValueError: memory must be one of auto, freeze, collapse, off", self.errors)

    def test_nearly_all_objects_are_frozen(self):
        """Objects of Python's own allocator, twenty megabytes of them: nine tenths lie in what is frozen, and can be
        used as ever."""
        self.assertEqual(self.run_script("""
            import multiprocessing.forkserver, sys
            if __name__ == "__mp_main__": data = [str(number).encode() * 20 for number in range(150000)]
            def child(pipe):
                import bisect
                places = [line.split()[0].split("-") for line in open("/proc/self/maps")
                          if "memfd:forkserver-frozen" in line]
                # ascending: what is between two is frozen
                edges = [int(number, 16) for place in places for number in place]
                frozen = sum(bisect.bisect(edges, id(one)) % 2 for one in data)
                kept = data[::3]
                data.clear()  # whole arenas with holes in them: freed, used again, freed
                again = [str(number).encode() * 20 for number in range(150000)]
                right = again[::3] == kept and not any(bytes(10000))
                del again[:], kept[1:]
                new = [bytes(100) for _ in range(100000)]
                pipe.send((frozen, right and kept == [b"0" * 20] and len(new) == 100000))
            if __name__ == "__main__":
                WAIT
                receiver, sender = multiprocessing.Pipe(False)
                process = multiprocessing.Process(target=child, args=(sender,))
                process.start()
                frozen, right = receiver.recv()
                process.join()
                print(frozen > 135000, right, process.exitcode)
        """.replace("WAIT", WAIT_FOR_MAIN)), "True True 0\n")

    def test_every_interpreter_of_an_installation(self):
        """By the .pth file: off unless the environment says so; with -I as well."""
        import forkserver

        package = os.path.dirname(forkserver.__file__)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", os.path.join(self.directory.name, "venv")],
                       check=True)
        site = os.path.join(self.directory.name, "venv", "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
        shutil.copytree(package, os.path.join(site, "forkserver"))
        shutil.copy(package + ".pth", site)
        code = "import multiprocessing, forkserver; print(multiprocessing.get_start_method(), forkserver.installed())"
        default = "forkserver" if sys.version_info >= (3, 14) else "fork"
        for value, method in (("1", "forkserver True\n"), ("0", f"{default} False\n")):
            ours = ("PYTHONPATH", "FORKSERVER_HELPERS")
            clean = {name: value for name, value in os.environ.items() if name not in ours}
            result = subprocess.run([os.path.join(self.directory.name, "venv", "bin", "python3"), "-I", "-c", code],
                                    stdout=subprocess.PIPE, text=True, timeout=LIMIT,
                                    env={**clean, "FORKSERVER_INSTALL": value})
            self.assertEqual(result.stdout, method)

    def test_install_raises_without_helpers(self):
        self.run_script("import forkserver; forkserver.install()", under=False, code=1,
                        env={**os.environ, "FORKSERVER_HELPERS": "/nonexistent"})
        self.assertIn("RuntimeError: forkserver's helper program is missing: /nonexistent/forkserver-server",
                      self.errors)

    def test_bad_preload_lists(self):
        self.assertEqual(self.run_script("""
            import multiprocessing
            if __name__ == "__main__":
                for bad in ([1], [b"x"], 5):
                    try: multiprocessing.set_forkserver_preload(bad)
                    except TypeError: print("TypeError")
        """), "TypeError\n" * 3)

    def test_what_cannot_be_pickled_or_imported(self):
        self.assertEqual(self.run_script("""
            import multiprocessing, sys, types
            if __name__ == "__main__":
                try: multiprocessing.Process(target=lambda: 1).start()
                except Exception as error: print(type(error).__name__)
                module = types.ModuleType("only_here"); sys.modules["only_here"] = module
                exec("def function(): pass", module.__dict__)
                process = multiprocessing.Process(target=module.function)
                process.start(); process.join()
                print(process.exitcode)
        """).split()[1:], ["1"])
        self.assertIn("ModuleNotFoundError: No module named 'only_here'", self.errors)

    def test_what_is_logged_is_logged_once(self):
        self.run_script("""
            import logging, multiprocessing
            def child(): multiprocessing.get_logger().info("in the child")
            if __name__ == "__main__":
                multiprocessing.log_to_stderr(logging.INFO)
                for _ in range(2):
                    process = multiprocessing.Process(target=child)
                    process.start(); process.join()
        """)
        self.assertEqual(self.errors.count("in the child"), 2)
        self.assertEqual(self.errors.count("child process calling self.run()"), 2)

    def test_stdin_closed(self):
        self.assertEqual(self.execute("-m", "forkserver", self.write("script.py", """
            import multiprocessing
            if __name__ == "__main__":
                process = multiprocessing.Process(target=print, args=("ran",))
                process.start(); process.join(); raise SystemExit(process.exitcode)
        """), preexec_fn=lambda: os.close(0)), "ran\n")

    def test_a_fork_of_the_parent(self):
        self.assertEqual(self.run_script("""
            import multiprocessing, os
            if __name__ == "__main__":
                process = multiprocessing.Process(target=os.write, args=(1, b"parent's\\n"))
                process.start(); process.join()
                pid = os.fork()
                process = multiprocessing.Process(target=os.write, args=(1, b"one's\\n"))
                process.start(); process.join()
                if pid == 0: os._exit(process.exitcode)
                print(os.waitpid(pid, 0)[1], process.exitcode)
        """), "parent's\none's\none's\n0 0\n")


    def test_installed_again_by_the_main_module(self):
        self.assertEqual(self.run_script("""
            import forkserver, multiprocessing, os
            forkserver.uninstall(); forkserver.install(memory="off")
            def child(pipe): pipe.send("hello")
            if __name__ == "__main__":
                receiver, sender = multiprocessing.Pipe(False)
                process = multiprocessing.Process(target=child, args=(sender,))
                process.start(); sender.close()
                print(receiver.recv()); process.join(); raise SystemExit(process.exitcode)
        """), "hello\n")

    # ---- few pages ----

    def test_what_a_child_allocates_lies_side_by_side(self):
        """The zygote has filled the holes in pymalloc's pools: else a child writes to dozens of pages more."""
        count = """
            import multiprocessing, multiprocessing.forkserver
            def spread():
                made = [bytes(size - 40) for size in range(48, 513, 16) for _ in range(8)]
                return len({id(one) // 4096 for one in made})
            def child(queue): queue.put(spread())
            if __name__ == "__main__":
                WAIT
                queue = multiprocessing.SimpleQueue()
                process = multiprocessing.Process(target=child, args=(queue,))
                process.start(); print(queue.get()); process.join()
        """.replace("WAIT", WAIT_FOR_MAIN)
        holes = "import re, decimal, json, unittest, asyncio, email.message, logging, concurrent.futures\n"
        pages = int(self.run_script(holes + textwrap.dedent(count)))
        self.assertLess(pages, 54)  # of 30 sizes, some take two pages; 64 to 84 without

    def test_other_allocators(self):
        for name in ("malloc", "debug"):
            self.assertEqual(self.run_script("""
                import multiprocessing
                if __name__ == "__main__":
                    process = multiprocessing.Process(target=print, args=("ran",))
                    process.start(); process.join()
            """, env={**os.environ, "PYTHONMALLOC": name}), "ran\n")


def double(x):
    sys.exit(2 * x)


def sleep():
    signal.pause()


class Direct(unittest.TestCase):
    def test_functions_and_programs(self):
        import forkserver

        with forkserver.Server() as server:
            with server.spawn(double, 21) as process:
                self.assertEqual(process.wait(LIMIT), 42)
            self.assertEqual(process.returncode, 42)
            self.assertGreater(process.rusage[2], 1000)
            with server.spawn(sleep) as process:
                self.assertIsNone(process.wait(0.01))
                os.kill(process.pid, 0)
            self.assertEqual(process.returncode, -signal.SIGKILL)
            with tempfile.TemporaryFile() as out:
                with server.run(["sh", "-c", "echo $X; pwd; exit 3"], stdout=out, env={"X": "y"}, cwd="/") as process:
                    self.assertEqual(process.wait(LIMIT), 3)
                out.seek(0)
                self.assertEqual(out.read(), b"y\n/\n")
            with self.assertRaises(forkserver.Error) as caught:
                server.run(["/no/such/program"])
            self.assertEqual((caught.exception.errno, caught.exception.stage), (2, "exec"))
            process = server.spawn(sleep, time_limit=0.1)
            self.assertEqual(process.wait(LIMIT), -signal.SIGKILL)
            self.assertTrue(process.timed_out)
            polite = ["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.01; done"]
            process = server.run(polite, time_limit=0.3, grace=LIMIT)
            self.assertEqual((process.wait(LIMIT), process.timed_out), (3, True))
            with self.assertRaises(ProcessLookupError):
                process.kill()


if __name__ == "__main__":
    unittest.main()
