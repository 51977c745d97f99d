# SPDX-License-Identifier: MIT
"""What a program may do wrong, or where it may run: an answer as the standard library's, or better, and never a
hang."""

import os
import signal
import unittest

from program import Program


class Installation(Program):
    def test_while_the_stock_server_has_children(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing, os, sys
            from multiprocessing import forkserver as stock
            def child(event, code): event.wait(30); sys.exit(code)
            def parent(queue): queue.put(os.getppid())
            def serve(context):
                process = context.Process(target=parent, args=(queue,))
                process.start(); process.join()
                return queue.get(timeout=30)
            if __name__ == "__main__":
                context = multiprocessing.get_context("forkserver")
                event, queue = context.Event(), context.Queue()
                old = [context.Process(target=child, args=(event, code)) for code in (0, 3, 200)]
                for process in old: process.start()
                server = stock._forkserver._forkserver_pid
                import forkserver
                forkserver.install()
                # By the context: the standard library has settled on its own default as soon as it started a process.
                print(serve(context) == forkserver.stats()["server_pid"] != server, [p.is_alive() for p in old])
                later = context.Process(target=child, args=(event, 4))
                later.start()
                print(sorted(p.pid for p in multiprocessing.active_children()) == sorted(p.pid for p in old + [later]))
                event.set()
                for process in old: process.join()
                print([process.exitcode for process in old])
                forkserver.uninstall()
                later.join()
                print(later.exitcode, serve(context) == server)
        """, under=False), "True [True, True, True]\nTrue\n[0, 3, 200]\n4 True\n")

    def test_over_and_over(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing, sys
            import forkserver
            def child(): sys.exit(7)
            if __name__ == "__main__":
                codes = []
                for _ in range(3):
                    forkserver.install()
                    process = multiprocessing.Process(target=child)
                    process.start()
                    forkserver.uninstall()
                    process.join()
                    codes.append(process.exitcode)
                print(codes)
        """, under=False), "[7, 7, 7]\n")

    # The first start() settles on the default of then.
    def test_the_default_method_is_restored(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing, sys
            import forkserver
            if __name__ == "__main__":
                forkserver.install()
                process = multiprocessing.Process(target=sys.exit)
                process.start(); process.join()
                forkserver.uninstall()
                print(multiprocessing.get_start_method())
        """, under=False), self.execute("-c", "import multiprocessing; print(multiprocessing.get_start_method())"))

    def test_a_module_that_runs_a_thread(self):
        for daemon in (True, False):
            self.write("threaded.py", f"""
                import threading
                done = threading.Event()
                def work():
                    while not done.wait(0.001): pass
                thread = threading.Thread(target=work, daemon={daemon})
                thread.start()
            """)
            # A child doesn't have the thread, whatever started it.
            self.assertEqual(self.run_script("""
                import multiprocessing, sys, threading
                def child():
                    print("threaded" in sys.modules, threading.active_count(), flush=True)
                    threading.Thread(target=print, args=("another",)).start()
                if __name__ == "__main__":
                    multiprocessing.set_forkserver_preload(["threaded", "__main__"])
                    for _ in range(2):
                        process = multiprocessing.Process(target=child)
                        process.start(); process.join()
                    print(process.exitcode)
            """), "True 1\nanother\n" * 2 + "0\n")

    def test_preload_lists(self):
        self.write("fails.py", "raise ValueError('on purpose')")
        self.write("leaves.py", "raise SystemExit(5)")
        self.write("interrupts.py", "raise KeyboardInterrupt")
        text = """
            import multiprocessing, sys
            if __name__ == "__main__":
                try: multiprocessing.set_forkserver_preload(eval(sys.argv[1]))
                except TypeError: print("TypeError")
                for _ in range(2):
                    process = multiprocessing.Process(target=print, args=("ran",))
                    process.start(); process.join()
                print(process.exitcode)
        """
        ran = "ran\nran\n0\n"
        for bad in ("None", "7", "[None]", "['os', b'os']", "{1: 'os'}"):
            self.assertEqual(self.run_silent(text, bad), "TypeError\n" + ran)
        for good in ("[]", "()", "{'json': 1}", "['json', 'json', 'xml.dom']"):
            self.assertEqual(self.run_silent(text, good), ran)
        for failing, told in (("'ab'", "No module named 'a'"), ("['fails']", "ValueError: on purpose"),
                              ("['leaves']", "SystemExit: 5"),
                              ("['interrupts']", "KeyboardInterrupt"), ("['no.such']", "'no'")):
            with self.subTest(preload=failing):
                self.assertEqual(self.run_script(text, failing), ran)
                self.assertIn(told, self.errors)

    def test_a_fork_handler_that_ends_each_child(self):
        self.write("ends.py", "import os\nos.register_at_fork(after_in_child=lambda: os._exit(7))")
        self.assertEqual(self.run_silent("""
            import multiprocessing
            if __name__ == "__main__":
                multiprocessing.set_forkserver_preload(["ends"])
                for _ in range(3):
                    try: multiprocessing.Process(target=print).start()
                    except OSError as error: print(error)
        """), "a new process exited with 7 before it took a request: "
              "does a fork handler of a preloaded module fail? [fork]\n" * 3)

    def test_a_fork_handler_that_unmaps_memory(self):
        """Children of the zygote wrote to it while its pages were looked for that are worth copying ahead."""
        self.write("unmaps.py", """\
            import ctypes, mmap, os
            def is_frozen():
                with open("/proc/self/maps") as file: return "forkserver-frozen" in file.read()
            def before():
                if memory and is_frozen(): memory.clear()
            def after_in_child():
                for block in memory:
                    for at in range(0, len(block), 4096): block[at] = 2
            memory = [mmap.mmap(-1, 1 << 22, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)]
            memory[0].write(b"1" * (1 << 22))
            os.register_at_fork(before=before, after_in_child=after_in_child)
        """)
        self.assertEqual(self.run_silent("""
            import multiprocessing
            def child():
                import unmaps
                print(len(unmaps.memory), flush=True)
            if __name__ == "__main__":
                multiprocessing.set_forkserver_preload(["unmaps"])
                for _ in range(6):
                    process = multiprocessing.Process(target=child)
                    process.start(); process.join()
                print(process.exitcode)
        """), "0\n" * 6 + "0\n")

    def test_a_preload_list_with_an_empty_name(self):
        self.run_script("""
            import multiprocessing
            if __name__ == "__main__":
                multiprocessing.set_forkserver_preload(["json", ""])
                multiprocessing.Process(target=print).start()
        """, code=1)
        self.assertIn("the preload list has an empty name", self.errors)

    def test_arguments_that_cannot_be_pickled(self):
        self.assertEqual(self.run_script("""
            import multiprocessing, sys, threading
            class Fails:
                def __getstate__(self): raise KeyError("on purpose")
            class FailsThere:
                def __setstate__(self, state): raise KeyError("there")
                def __getstate__(self): return 1
            if __name__ == "__main__":
                for bad in (lambda: 1, threading.Lock(), Fails(), sys.stdout, (i for i in ())):
                    process = multiprocessing.Process(target=print, args=(bad,))
                    try: process.start()
                    except Exception as error: print(type(error).__name__, process.pid, process.exitcode, end=" ")
                process = multiprocessing.Process(target=print, args=(FailsThere(),))
                process.start(); process.join()
                print(process.exitcode)
        """).replace("AttributeError", "PicklingError"),
            "PicklingError None None TypeError None None KeyError None None "
            "TypeError None None TypeError None None 1\n")
        self.assertIn("KeyError: 'there'", self.errors)

    # Were the zygote's default start method "fork" while it imports __main__, it would fork a worker.
    def test_an_executor_without_a_main_guard(self):
        self.run_script("""
            from concurrent.futures import ProcessPoolExecutor
            with ProcessPoolExecutor(1) as executor: print(executor.submit(abs, -1).result(30))
        """, code=1)
        self.assertIn("bootstrapping phase", self.errors)
        self.assertIn("BrokenProcessPool", self.errors)


class Sources(Program):
    PROGRAM = """import multiprocessing, sys
import forkserver; forkserver.install()
process = multiprocessing.Process(target=print, args=("ran",))
process.start(); process.join()
print(process.exitcode, forkserver.stats()["served"])
"""

    def test_code_on_the_command_line(self):
        self.assertEqual(self.execute("-m", "forkserver", "-c", self.PROGRAM), "ran\n0 1\n")
        self.assertEqual(self.execute("-c", self.PROGRAM), "ran\n0 1\n")

    # __main__.__file__ is "<stdin>" there, which the stock server's child takes for a script's path.
    def test_code_on_standard_input(self):
        self.assertEqual(self.execute("-", input=self.PROGRAM), "ran\n0 1\n")
        self.assertEqual(self.execute(input=self.PROGRAM), "ran\n0 1\n")

    def test_code_on_standard_input_under_the_package(self):
        self.assertEqual(self.execute("-m", "forkserver", "-", "a", input=self.PROGRAM + "print(sys.argv)\n"),
                         "ran\n0 1\n['-', 'a']\n")

    def test_an_interactive_interpreter(self):
        self.assertEqual(self.execute("-i", "-q", input=self.PROGRAM), "ran\n0 1\n")

    def test_a_script_that_is_run_by_a_relative_path(self):
        os.mkdir(os.path.join(self.directory.name, "below"))
        self.write("below/beside.py", "word = 'ran'")
        self.write("below/script.py", """
            import multiprocessing, os
            import beside
            def child(): print(beside.word, os.path.basename(os.getcwd()))
            if __name__ == "__main__":
                os.chdir("below")
                process = multiprocessing.Process(target=child)
                process.start(); process.join()
        """)
        self.assertEqual(self.execute("-m", "forkserver", os.path.join("below", "script.py")), "ran below\n")

    def test_a_package_that_is_run(self):
        os.mkdir(os.path.join(self.directory.name, "package"))
        self.write("package/__init__.py", "")
        self.write("package/work.py", "import sys\ndef child(): print('ran', sys.argv[1:], __name__)\n")
        self.write("package/__main__.py", """
            import multiprocessing, sys
            from .work import child
            if __name__ == "__main__":
                process = multiprocessing.Process(target=child)
                process.start(); process.join()
        """)
        self.assertEqual(self.execute("-m", "forkserver", "-m", "package", "a"), "ran ['a'] package.work\n")


class Surroundings(Program):
    def test_without_a_temporary_directory(self):
        text = """
            import multiprocessing, sys, tempfile
            if sys.argv[1:]: tempfile._candidate_tempdir_list = lambda: []  # root may write everywhere
            def child(queue): queue.put("ran")
            if __name__ == "__main__":
                queue = multiprocessing.Queue()
                process = multiprocessing.Process(target=child, args=(queue,))
                process.start(); process.join()
                print(queue.get(timeout=30), process.exitcode)
                process = multiprocessing.Process(target=len, args=(bytes(5 << 20),))
                process.start(); process.join()
                print(process.exitcode)
        """
        nowhere = {name: "/nonexistent" for name in ("TMPDIR", "TEMP", "TMP", "XDG_RUNTIME_DIR")}
        for args in ((), ("none at all",)):
            self.assertEqual(self.run_silent(text, *args, env=self.environment(HOME=None, **nowhere)), "ran 0\n0\n")

    def test_with_an_empty_environment(self):
        text = """
            import multiprocessing, os
            if __name__ == "__main__":
                os.environ.clear()
                process = multiprocessing.Process(target=print, args=("ran",))
                process.start(); process.join()
                print(process.exitcode)
        """
        self.assertEqual(self.run_silent(text), "ran\n0\n")

    def test_in_a_directory_that_is_gone(self):
        text = """
            import multiprocessing, os, sys
            def start():
                process = multiprocessing.Process(target=sys.exit, args=(5,))
                try: process.start()
                except OSError as error: return error.errno
                process.join()
                return process.exitcode
            if __name__ == "__main__":
                os.mkdir("gone"); os.chdir("gone")
                codes = [start()] if sys.argv[1] == "late" else []
                os.rmdir(os.path.abspath("."))
                print(codes, start() in (1, 2, 5))  # it fails or it runs
        """
        self.assertEqual(self.run_script(text, "early"), "[] True\n")
        self.assertEqual(self.run_script(text, "late"), "[5] True\n")

    def check_closed(self, *closed):
        # Whatever the program has at its number since, close-on-exec, is no output of the child's.
        self.run_script("""
            import multiprocessing, os, stat, sys
            def is_ours(fd):
                try: return stat.S_ISSOCK(os.fstat(fd).st_mode)
                except OSError: return False
            def child(connection):
                connection.send([fd for fd in range(3) if is_ours(fd)])
                for stream in (sys.stdout, sys.stderr): print("said", file=stream, flush=True)
                connection.send(multiprocessing.current_process().name)
            if __name__ == "__main__":
                results = []
                for name in "ab":
                    here, there = multiprocessing.Pipe()
                    process = multiprocessing.Process(target=child, args=(there,), name=name)
                    process.start()
                    there.close()
                    results += here.recv(), here.recv()
                    process.join()
                    results.append(process.exitcode)
                with open("results", "w") as file: file.write(repr(results))
        """, preexec_fn=lambda: [os.close(fd) for fd in closed])
        with open(os.path.join(self.directory.name, "results")) as file:
            self.assertEqual(file.read(), repr([[], "a", 0, [], "b", 0]))

    def test_standard_input_closed(self):
        self.check_closed(0)

    def test_standard_output_closed(self):
        self.check_closed(1)

    def test_standard_error_closed(self):
        self.check_closed(2)

    def test_both_outputs_closed(self):
        self.check_closed(1, 2)

    # The stock server fails here too: its children lose their pipes.
    def test_all_streams_closed(self):
        self.check_closed(0, 1, 2)

    def test_streams_that_the_program_closes(self):
        self.run_script("""
            import multiprocessing, os, sys
            def child(code): sys.exit(code)
            if __name__ == "__main__":
                codes = []
                for stream in (sys.stdin, sys.stdout, sys.stderr):
                    stream.close()
                    process = multiprocessing.Process(target=child, args=(5,))
                    process.start(); process.join()
                    codes.append(process.exitcode)
                os._exit(0 if codes == [5, 5, 5] else 1)
        """)

    def test_a_stream_that_is_full(self):
        with open("/dev/full", "w") as full:
            self.assertEqual(self.run_script("""
                import multiprocessing, sys
                def child(): print("lost"); sys.stdout.flush()
                if __name__ == "__main__":
                    process = multiprocessing.Process(target=child)
                    process.start(); process.join()
                    print(process.exitcode, file=sys.stderr)
            """, stdout=full), None)
        self.assertEqual(self.errors.splitlines()[-1], "1")


class Interrupts(Program):
    def interrupt(self, text, *, code=-signal.SIGINT):
        """Control-C, once the program has said that it is ready."""
        process = self.start("-m", "forkserver", self.write("script.py", text))
        self.assertEqual(process.stdout.readline(), "ready\n")
        os.killpg(process.pid, signal.SIGINT)
        return self.finish(process, code=code)

    def test_while_children_run(self):
        self.interrupt("""
            import multiprocessing, time
            def child(connection):
                connection.send("ready")
                while True: time.sleep(1)  # once might begin just after the signal
            if __name__ == "__main__":
                here, there = multiprocessing.Pipe()
                processes = [multiprocessing.Process(target=child, args=(there,)) for _ in range(3)]
                for process in processes: process.start()
                for _ in processes: here.recv()
                print("ready", flush=True)
                for process in processes: process.join()
        """)
        self.assertEqual(self.errors.count("KeyboardInterrupt"), 4)

    def test_that_the_program_takes(self):
        self.assertEqual(self.interrupt("""
            import multiprocessing, signal, time
            def child(connection):
                connection.send("ready")
                while True: time.sleep(1)
            if __name__ == "__main__":
                here, there = multiprocessing.Pipe()
                process = multiprocessing.Process(target=child, args=(there,))
                process.start()
                here.recv()
                try:
                    print("ready", flush=True)
                    process.join()
                    signal.pause()
                except KeyboardInterrupt: pass
                process.join()
                again = multiprocessing.Process(target=print, args=("ran",))
                again.start(); again.join()
                print(process.exitcode, again.exitcode)
        """, code=0), "ran\n1 0\n")

    def test_in_a_pool(self):
        self.interrupt("""
            import multiprocessing, signal
            def work(i):
                barrier.wait(30)
                if i == 0: print("ready", flush=True)
                signal.pause()
            def prepare(given):
                global barrier
                barrier = given
            if __name__ == "__main__":
                with multiprocessing.Pool(2, prepare, (multiprocessing.Barrier(2),)) as pool:
                    pool.map(work, range(2), chunksize=1)
        """)

    def test_a_terminated_program(self):
        process = self.start("-m", "forkserver", self.write("script.py", """
            import multiprocessing, signal, sys
            def child(connection): connection.send("ready"); signal.pause()
            if __name__ == "__main__":
                signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
                here, there = multiprocessing.Pipe()
                process = multiprocessing.Process(target=child, args=(there,), daemon=True)
                process.start()
                print(here.recv(), flush=True)
                process.join()
        """))
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.send_signal(signal.SIGTERM)
        self.finish(process, code=3)


if __name__ == "__main__":
    unittest.main()
