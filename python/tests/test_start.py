# SPDX-License-Identifier: MIT
"""start() and join() are Python calls: signal handlers run meanwhile, and may raise; what is started has an owner;
waits are those of the standard library; arguments live until the child has them. How a process ended can be asked for.
The server and its processes are below the program, and leave nothing."""

import os
import subprocess
import sys
import unittest

from program import LIMIT, Program, needs

# What the programs below share. A server that is stopped makes every start() wait, for as long as one likes.
TOOLS = """
    import forkserver, multiprocessing, os, signal, time
    def family(pid):
        with open(f"/proc/{pid}/task/{pid}/children") as file: return [int(word) for word in file.read().split()]
    def noop(): pass
    def started(target=noop, args=()):
        process = multiprocessing.Process(target=target, args=args)
        process.start()
        return process
    class Stopped:
        def __enter__(self):
            started().join()
            server = forkserver.stats()["server_pid"]
            while forkserver.stats()["standbys"] < 4: time.sleep(0.01)
            self.pids = [server, *family(server)]
            self.send(signal.SIGSTOP)
        def __exit__(self, *_):
            self.send(signal.SIGCONT)
        def send(self, number):
            for pid in self.pids:
                try: os.kill(pid, number)
                except ProcessLookupError: pass  # a zygote that has handed over
    class Alarm(Exception): pass
    def alarm_in(seconds, raises=True):
        def ring(*_):
            rung.append(time.monotonic())
            if raises: raise Alarm
        rung = []
        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        return rung
"""


class Signals(Program):
    def run_tools(self, text, **options):
        self.write("tools.py", TOOLS)
        return self.run_silent("from tools import *\n" + "\n".join(line[12:] for line in text.splitlines()), **options)

    def test_a_handler_that_raises_ends_start_at_once(self):
        self.assertEqual(self.run_tools("""
            def child(): open("ran", "w").close()
            if __name__ == "__main__":
                process = multiprocessing.Process(target=child)
                with Stopped():
                    rung = alarm_in(0.3)
                    try: process.start()
                    except Alarm: print("alarm, in time:", time.monotonic() - rung[0] < 1)
                    else: print("started")
                started().join()  # the standby that took the first request has been there
                print(process.pid, multiprocessing.active_children(), os.path.exists("ran"))
                print(forkserver.stats()["served"])
                process.start(); process.join()  # it may be tried again
                print(process.exitcode, os.path.exists("ran"))
        """), "alarm, in time: True\nNone [] False\n2\n0 True\n")

    def test_a_signal_that_came_to_another_thread(self):
        self.assertEqual(self.run_tools("""
            import threading
            if __name__ == "__main__":
                with Stopped():
                    rung = alarm_in(0)  # none yet
                    def raise_here():
                        time.sleep(0.3)
                        signal.pthread_kill(threading.get_ident(), signal.SIGALRM)
                    thread = threading.Thread(target=raise_here)
                    thread.start()
                    try: started()
                    except Alarm: print("alarm")
                    thread.join()
        """), "alarm\n")

    def test_a_handler_that_returns_lets_start_go_on(self):
        self.assertEqual(self.run_tools("""
            import threading
            if __name__ == "__main__":
                stopped = Stopped()
                stopped.__enter__()
                rung = alarm_in(0.2, raises=False)
                go_on = threading.Thread(target=lambda: (time.sleep(0.6), stopped.__exit__()))
                go_on.start()
                process = started()
                print(len(rung), time.monotonic() - rung[0] > 0.1)
                process.join()
                print(process.exitcode)
        """), "1 True\n0\n")

    def test_ensure_running_connect_and_stop(self):
        self.assertEqual(self.run_tools("""
            from multiprocessing import forkserver as stock
            def hang(): signal.pause()
            if __name__ == "__main__":
                hanging = started(hang)
                with Stopped():
                    for call in stock.ensure_running, lambda: stock.connect_to_new_process([]), forkserver.stats:
                        alarm_in(0.2)
                        try: print("returned", call())
                        except Alarm: print("alarm")
                alarm_in(0.2)
                try: stock._forkserver._stop()
                except Alarm: print("alarm")
                hanging.kill(); hanging.join()
        """), "alarm\n" * 4)

    def test_what_is_lost_on_its_way_is_killed(self):
        """An exception at each line, and after each call, from the beginning of start() to its end. Once more by
        a program that keeps the exceptions, and with them the frames. (Of a frame that is on its way back, nothing more
        runs.)"""
        self.assertEqual(self.run_tools("""
            import sys, threading
            def child(connection):
                connection.send(os.getpid())
                time.sleep(1000)
            class Tracer:
                def __init__(self, at): self.left = at
                def step(self, frame, event, arg):
                    if event == "return" and keeps: return
                    self.left -= 1
                    if self.left == 0: raise Alarm
                def trace(self, frame, event, arg):
                    if "forkserver" in frame.f_code.co_filename or frame.f_code.co_name == "start":
                        self.step(frame, event, arg)
                        return self.trace
                def profile(self, frame, event, arg):
                    if event == "c_return" and frame.f_code.co_name in ("spawn", "_launch", "__init__"):
                        self.step(frame, event, arg)
            if __name__ == "__main__":
                started().join()
                at, lost, kept, held, keeps = 0, 0, 0, [], False
                while True:
                    at += 1
                    here, there = multiprocessing.Pipe(False)
                    process = multiprocessing.Process(target=child, args=(there,))
                    tracer = Tracer(at)
                    sys.settrace(tracer.trace); sys.setprofile(tracer.profile)
                    try: process.start()
                    except Alarm as error: held += [error] * keeps
                    finally: sys.settrace(None); sys.setprofile(None)
                    there.close(); process._args = ()
                    if process._popen is not None:
                        kept += 1
                        assert process.is_alive()
                        process.kill(); process.join()
                    else:
                        # Its end of the pipe closes with it: a child that lived would keep us here.
                        try:
                            while here.poll(20): here.recv(); lost += 1
                            raise SystemExit(f"a child lives after an exception at step {at}")
                        except EOFError: pass
                    if tracer.left > 0 and keeps: break
                    if tracer.left > 0: at, keeps = 0, True
                print(at > 30, kept > 1, len(held) > 30, lost > 0, multiprocessing.active_children())
        """), "True True True True []\n")

    def test_a_process_that_was_let_go_lives_on(self):
        self.assertEqual(self.run_tools("""
            import gc
            def child(connection, go):
                go.recv()
                connection.send("alive")
            if __name__ == "__main__":
                here, there = multiprocessing.Pipe(False)
                wait, go = multiprocessing.Pipe(False)
                process = started(child, (there, wait))
                multiprocessing.process._children.discard(process)
                del process; gc.collect()
                go.send("go")
                print(here.recv())
        """), "alive\n")

    def test_a_forked_copy_of_the_program_kills_nothing(self):
        self.assertEqual(self.run_tools("""
            def child(wait): wait.recv()
            if __name__ == "__main__":
                wait, go = multiprocessing.Pipe(False)
                process = started(child, (wait,))
                pid = os.fork()
                if pid == 0:
                    process._popen = None  # as lost as can be
                    os._exit(0)
                os.waitpid(pid, 0)
                go.send("go")
                process.join()
                print(process.exitcode)
        """), "0\n")


class Waiting(Program):
    def test_where_the_standard_library_waits(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing, time
            from multiprocessing import connection
            def child(wait): wait.recv()
            if __name__ == "__main__":
                calls, stock = [], connection.wait
                def wait(objects, timeout=None):
                    calls.append((objects == [process.sentinel], timeout))
                    if timeout is None: go.send("go")  # Not before: a child that has ended isn't waited for.
                    return stock(objects, timeout)
                connection.wait = wait
                inner, go = multiprocessing.Pipe(False)
                process = multiprocessing.Process(target=child, args=(inner,))
                process.start()
                print(process.is_alive(), process.exitcode, calls)
                begin = time.monotonic()
                process.join(0.25)
                print(0.25 <= time.monotonic() - begin < 5, len(calls), calls[0][0], 0.2 < calls[0][1] <= 0.25)
                process.join(0); process.join(-1)
                process.join()
                print(process.exitcode, calls[-1])
        """), "True None []\nTrue 1 True True\n0 (True, None)\n")

    def test_any_number_of_threads(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing, sys, threading
            def child(wait): wait.recv(); sys.exit(3)
            if __name__ == "__main__":
                inner, go = multiprocessing.Pipe(False)
                process = multiprocessing.Process(target=child, args=(inner,))
                process.start()
                codes = []
                def join(timeout): process._popen.wait(timeout); codes.append(process._popen.returncode)
                threads = [threading.Thread(target=join, args=(60 if i % 2 else None,)) for i in range(20)]
                for thread in threads: thread.start()
                go.send("go")
                for thread in threads: thread.join()
                print(codes == [3] * 20)
        """), "True\n")

    @needs("gevent")
    def test_greenlets_go_on(self):
        self.assertEqual(self.run_script("""
            from gevent import monkey; monkey.patch_all()
            import gevent, multiprocessing
            def child(wait): wait.recv()
            if __name__ == "__main__":
                inner, go = multiprocessing.Pipe(False)
                process = multiprocessing.Process(target=child, args=(inner,))
                process.start()
                gevent.spawn_later(0.2, go.send, "go")  # nobody else would
                process.join(20)
                print(process.exitcode)
        """), "0\n")


class Arguments(Program):
    # Its unpickling is the first that a child does with its arguments.
    SLOW = """
        class Slow:
            def __init__(self, connection): self.connection = connection
            def __setstate__(self, state):
                state["connection"].recv()
                self.__dict__ = state
    """

    def run_slow(self, text):
        self.write("slow.py", self.SLOW)
        return self.run_silent(text)

    def test_a_lock_that_only_arguments_refer_to(self):
        self.assertEqual(self.run_slow("""
            import gc, multiprocessing, os
            from slow import Slow
            def child(slow, *locks):
                for lock in locks:
                    with lock: pass
            if __name__ == "__main__":
                wait, go = multiprocessing.Pipe(False)
                ctx = multiprocessing.get_context("forkserver")
                process = ctx.Process(target=child, args=(Slow(wait), ctx.Lock(), ctx.RLock(), ctx.Condition(),
                                                          ctx.BoundedSemaphore(2)))
                process.start(); gc.collect()
                names = len([name for name in os.listdir("/dev/shm") if name.startswith("sem.mp-")])
                go.send("go")
                process.join(); gc.collect()
                left = len([name for name in os.listdir("/dev/shm") if name.startswith("sem.mp-")])
                print(process.exitcode, names - left)
        """), "0 7\n")

    def test_a_managers_object(self):
        self.assertEqual(self.run_slow("""
            import gc, multiprocessing
            from slow import Slow
            def child(slow, listed): assert list(listed) == [1, 2]
            if __name__ == "__main__":
                with multiprocessing.Manager() as manager:
                    wait, go = multiprocessing.Pipe(False)
                    process = multiprocessing.Process(target=child, args=(Slow(wait), manager.list([1, 2])))
                    process.start(); gc.collect()
                    go.send("go")
                    process.join(); gc.collect()
                    print(process.exitcode, manager._number_of_objects())
        """), "0 0\n")

    def test_a_connection_is_closed_when_start_returns(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing
            def child(there, lock): there.send("done")
            if __name__ == "__main__":
                here, there = multiprocessing.Pipe(False)
                process = multiprocessing.Process(target=child, args=(there, multiprocessing.Lock()))
                del there
                process.start()
                print(here.recv())
                try: here.recv()
                except EOFError: print("its end")
                process.join()
        """), "done\nits end\n")

    def test_the_reducer_of_the_context(self):
        self.assertEqual(self.run_silent("""
            import io, multiprocessing, types
            from multiprocessing import reduction
            def child(value): print(value, flush=True)
            class Odd: pass
            class Pickler(reduction.ForkingPickler):
                def reducer_override(self, what): return (str, ("reduced",)) if type(what) is Odd else NotImplemented
            def dump(what, file, protocol=None): Pickler(file, protocol).dump(what)
            if __name__ == "__main__":
                own = types.ModuleType("own")
                own.__dict__.update({**vars(reduction), "ForkingPickler": Pickler, "dump": dump})
                ctx = multiprocessing.get_context("forkserver")
                ctx.reducer = own
                process = ctx.Process(target=child, args=(Odd(),))
                process.start(); process.join()
                print(process.exitcode)
        """), "reduced\n0\n")

    def test_a_pickle_of_more_than_a_gibibyte(self):
        with open("/proc/meminfo") as file:
            available = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
        if available < 8 << 20:
            self.skipTest("less than 8 GiB of memory are available")
        size = 1288490188
        output = self.run_silent(f"""
            import multiprocessing, resource
            def child(data): assert len(data) == {size} and data[0] == data[-1] == 120
            if __name__ == "__main__":
                process = multiprocessing.Process(target=child, args=(b"x" * {size},))
                process.start(); process.join()
                print(process.exitcode, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        """)
        code, peak = map(int, output.split())
        self.assertEqual(code, 0)
        # The object, and its pickle; the third is no memory of the program's.
        self.assertLess(peak * 1024, 2 * size + (100 << 20))

    def test_a_large_pickle_is_given_back(self):
        """Once it has been unpickled: its memory is not the child's for life."""
        self.assertEqual(self.run_silent("""
            import multiprocessing
            def child(size, data):
                assert len(data) == size and data == bytes(range(250)) * (size // 250)
                with open("/proc/self/maps") as file: print("forkserver request" in file.read(), flush=True)
                process = multiprocessing.Process(target=print, args=("nested",))
                process.start(); process.join()
            if __name__ == "__main__":
                for size in 50000, 66000, 1000000:
                    process = multiprocessing.Process(target=child, args=(size, bytes(range(250)) * (size // 250)))
                    process.start(); process.join()
                    print(process.exitcode)
        """), "False\nnested\n0\n" * 3)


class HowItEnded(Program):
    def test_status(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing, os, resource, signal, sys
            from forkserver import status as status_of
            def hang(): signal.pause()
            if __name__ == "__main__":
                made = []
                def end(target, args=()):
                    made.append(multiprocessing.Process(target=target, args=args))
                    made[-1].start(); made[-1].join()
                    return status_of(made[-1])
                status = end(sys.exit, (3,))
                print(status.exit_code, status.signal, status.core, status.timed_out, status.out_of_memory,
                      type(status.rusage) is resource.struct_rusage, status.rusage.ru_maxrss > 1000, status.lost)
                print(str(status).replace(str(status.pid), "PID"))
                status = end(os.abort)
                print(status.exit_code, status.signal.name, made[-1].exitcode)
                status = end(os.kill, (0, 0))
                process = multiprocessing.Process(target=hang)
                try: status_of(process)
                except ValueError as error: print(error)
                process.start()
                print(status_of(process))
                process.kill(); process.join()
                status = status_of(process)
                print(str(status).replace(str(status.pid), "PID"), status.out_of_memory in (False, None))
                process.close()
                try: status_of(process)
                except ValueError as error: print(error)
                process = multiprocessing.get_context("spawn").Process(target=sys.exit)
                process.start()
                for what in (process, 7):
                    try: status_of(what)
                    except TypeError as error: print(str(error)[-46:])
                process.join()
        """), """3 None False False False True True False
process PID exited with 3
None SIGABRT -6
Process-4 has not been started
None
process PID was killed by SIGKILL True
process object is closed
by the start method 'spawn', not by Forkserver
a multiprocessing.Process is expected, not int
""")

    def test_after_the_servers_death(self):
        lines = self.run_script("""
            import forkserver, multiprocessing, os, signal, sys
            from forkserver import status as status_of
            def child(wait): wait.recv(); sys.exit(5)
            if __name__ == "__main__":
                wait, go = multiprocessing.Pipe(False)
                process = multiprocessing.Process(target=child, args=(wait,))
                process.start()
                os.kill(forkserver.stats()["server_pid"], signal.SIGKILL)
                process.join(0.1)
                print(status_of(process))
                go.send("go")
                process.join()
                status = status_of(process)
                print(status.rusage, status.lost, status.exit_code, process.exitcode)
        """).splitlines()
        self.assertEqual(lines[0], "None")
        self.assertIn(lines[1], ("None False 5 5", "None True None 255"))

    def test_of_the_small_interface(self):
        self.assertEqual(self.run_silent("""
            import forkserver, resource, signal
            if __name__ == "__main__":
                with forkserver.Server() as server:
                    process = server.spawn(signal.pause, time_limit=0.1)
                    process.wait()
                    print(process.returncode, process.timed_out, type(process.rusage) is resource.struct_rusage)
        """), "-9 True True\n")

    def group(self):
        """A control group with 128 MiB of memory."""
        with open("/proc/self/cgroup") as file:
            lines = [line.strip().split(":", 2) for line in file]
        own = [f"/sys/fs/cgroup/memory{path}" for _, names, path in lines if "memory" in names.split(",")]
        own += [f"/sys/fs/cgroup{path}" for number, _, path in lines if number == "0"]
        for parent in own:
            group = f"{parent.rstrip('/')}/forkserver-test-{os.getpid()}"
            try:
                os.mkdir(group)
            except OSError:
                continue
            self.addCleanup(os.rmdir, group)
            for name in ("memory.max", "memory.limit_in_bytes"):
                if os.path.exists(f"{group}/{name}"):
                    with open(f"{group}/{name}", "w") as file:
                        file.write(str(128 << 20))
                    return group
        self.skipTest("no control group of memory can be made here")

    def test_out_of_memory(self):
        group = self.group()
        self.assertEqual(self.run_script("""
            import multiprocessing, signal, sys
            from forkserver import status as status_of
            def hang(): signal.pause()
            def grow():
                with open("/proc/self/oom_score_adj", "w") as file: file.write("1000")
                blocks = [bytearray(1 << 20)]
                while True: blocks.append(bytearray(b"x") * (1 << 20))
            def end(target, kill=False):
                process = multiprocessing.Process(target=target)
                process.start()
                if kill: process.kill()
                process.join()
                status = status_of(process)
                print(process.exitcode, status.out_of_memory, str(status).partition(str(status.pid))[2].strip())
            if __name__ == "__main__":
                with open(sys.argv[1] + "/cgroup.procs", "w") as file: file.write("0")
                end(hang, kill=True)
                end(grow)
                end(hang, kill=True)
        """, group).splitlines(), [
            "-9 False was killed by SIGKILL", "-9 True was killed by SIGKILL, because memory was short",
            "-9 False was killed by SIGKILL"])


class Tree(Program):
    """Where the processes are, what sees them, and what is left of them."""

    PROC = """
        import multiprocessing, os, signal, sys, time
        def stat(pid):
            with open(f"/proc/{pid}/stat") as file: head, _, rest = file.read().rpartition(")")
            return head.partition("(")[2], *rest.split()[:2]
        def children():
            with open(f"/proc/self/task/{os.getpid()}/children") as file: pids = file.read().split()
            return sorted(stat(pid)[:2] for pid in pids if "fsrv" in stat(pid)[0])
        def wait_for(condition):
            while not condition(): time.sleep(0.01)
        def noop(): pass
        def started(target=noop, args=()):
            process = multiprocessing.Process(target=target, args=args)
            process.start()
            return process
        def stop_tracker():
            from multiprocessing import resource_tracker
            resource_tracker._resource_tracker._stop()
    """

    def run_proc(self, text, **options):
        self.write("proc.py", self.PROC)
        script = self.write("script.py", "from proc import *\n" + "\n".join(line[12:] for line in text.splitlines()))
        output = self.execute(*options.pop("under", ()), "-m", "forkserver", script, **options)
        self.assertEqual(self.errors, "")
        return output

    def test_all_are_below_the_program(self):
        self.assertEqual(self.run_proc("""
            def child(connection): connection.send(os.getpid()); connection.recv()
            if __name__ == "__main__":
                import forkserver
                here, there = multiprocessing.Pipe()
                process = started(child, (there,))
                stats = forkserver.stats()
                for pid in here.recv(), stats["zygote_pid"]:
                    names = []
                    while pid != os.getpid():
                        pid = int(stat(pid)[2])
                        names.append(stat(pid)[0])
                    print(names[:-1])
                here.send("go"); process.join()
        """), "['fsrv server', 'fsrv anchor']\n" * 2)

    def test_processes_are_not_seen_by_waits(self):
        self.assertEqual(self.run_proc("""
            if __name__ == "__main__":
                seen = []
                signal.signal(signal.SIGCHLD, lambda *_: seen.append("SIGCHLD"))
                process = started()
                process.join()
                stop_tracker(); seen.clear()
                import forkserver
                server = forkserver.stats()["server_pid"]
                for wait in os.wait, lambda: os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
                    try: print(wait())
                    except ChildProcessError: print("no child", children())
                os.kill(server, signal.SIGKILL)
                wait_for(lambda: children() == [("fsrv anchor", "Z")])
                process = started(sys.exit, (7,))
                process.join()
                print(process.exitcode, children(), seen)
                forkserver.uninstall()
        """), "no child [('fsrv anchor', 'S')]\n" * 2 + "7 [('fsrv anchor', 'S')] []\n")

    def test_the_anchor_is_small_and_holds_nothing(self):
        self.assertEqual(self.run_proc("""
            if __name__ == "__main__":
                os.environ["SECRET"] = "1"
                block = bytearray(100 << 20)
                file = open("held", "w"); os.set_inheritable(file.fileno(), True)
                import forkserver
                started().join()
                anchor = stat(forkserver.stats()["server_pid"])[2]
                with open(f"/proc/{anchor}/status") as status:
                    print(*[int(line.split()[1]) < 1000 for line in status if line.startswith("VmRSS")])
                print(os.listdir(f"/proc/{anchor}/fd"), os.readlink(f"/proc/{anchor}/cwd"))
                with open(f"/proc/{anchor}/cmdline") as words: print(words.read().rstrip("\\0"))
        """), "True\n[] /\nforkserver: anchor\n")

    def test_a_program_that_ignores_sigchld(self):
        self.assertEqual(self.run_proc("""
            if __name__ == "__main__":
                signal.signal(signal.SIGCHLD, signal.SIG_IGN)
                process = started(sys.exit, (7,))
                process.join()
                print(process.exitcode)
        """), "7\n")

    def test_a_program_that_becomes_another(self):
        self.assertEqual(self.run_proc("""
            if __name__ == "__main__":
                started().join()
                os.execv("/bin/echo", ["echo", "another"])
        """), "another\n")

    def test_a_program_that_is_killed(self):
        self.assertEqual(self.run_proc("""
            if __name__ == "__main__":
                started().join()
                print("killed", flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
        """, code=-9), "killed\n")

    def test_a_program_that_forks(self):
        self.assertEqual(self.run_proc("""
            if __name__ == "__main__":
                started().join()
                parent = os.getpid()
                if os.fork() == 0:
                    wait_for(lambda: os.getppid() != parent)
                    process = started(sys.exit, (7,))
                    process.join()
                    print(process.exitcode, children(), flush=True)
        """), "7 []\n")

    def unshared(self, *words):
        words = ["unshare", "--pid", "--fork", "--mount-proc", *words]
        if subprocess.run([*words[:4], "true"], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no namespace of pids can be made here")
        return words

    def test_under_a_pid_1_that_does_not_reap(self):
        """Its own resource tracker may be left, as ever: it is told of the end by the program's."""
        script = self.write("one.py", """
            import os, subprocess, sys
            subprocess.run([sys.executable, "-m", "forkserver", "script.py"])
            for pid in filter(str.isdigit, os.listdir("/proc")):
                with open(f"/proc/{pid}/stat") as file: words = file.read()
                if pid != "1" and "(python" not in words: print(words)
        """)
        self.write("script.py", """
            import multiprocessing
            if __name__ == "__main__":
                process = multiprocessing.Process(target=print, args=("ran",))
                process.start(); process.join()
                multiprocessing.Process(target=print, args=("joined at the end",)).start()
        """)
        result = subprocess.run(self.unshared(sys.executable, script), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, timeout=LIMIT, cwd=self.directory.name, env=self.environment())
        self.assertEqual(result.stdout, "ran\njoined at the end\n")

    def test_as_pid_1(self):
        self.write("proc.py", self.PROC)
        script = self.write("script.py", """
            from proc import *
            if __name__ == "__main__":
                process = started(sys.exit, (7,))
                process.join()
                print(os.getpid(), process.exitcode, children())
                stop_tracker()
                try: os.wait()
                except ChildProcessError: print("no child")
        """)
        result = subprocess.run(self.unshared(sys.executable, "-m", "forkserver", script), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, timeout=LIMIT, cwd=self.directory.name,
                                env=self.environment())
        self.assertEqual(result.stdout, "1 7 [('fsrv anchor', 'S')]\nno child\n")

    def test_an_exit_while_children_live(self):
        """It isn't delayed for them."""
        script = self.write("script.py", """
            import multiprocessing, os, sys, time
            def child(reader): os.read(reader.fileno(), 1)
            if __name__ == "__main__":
                reader, writer = multiprocessing.Pipe(False)
                process = multiprocessing.Process(target=child, args=(reader,))
                process.start()
                multiprocessing.process._children.discard(process)
                os.dup2(writer.fileno(), int(sys.argv[1]))
                writer.close()
        """)
        reader, writer = os.pipe()
        process = self.start("-m", "forkserver", script, str(writer), pass_fds=(writer,))
        self.addCleanup(os.close, reader)
        process.wait(timeout=LIMIT)
        os.close(writer)
        self.finish(process)

    def test_processes_that_hold_the_output(self):
        """The program, and its resource tracker, which ends with it."""
        self.assertEqual(self.run_proc("""
            def holders():
                own, found, ours = os.readlink("/proc/self/fd/1"), [], (os.getpid(), os.getppid())
                for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
                    try:
                        fds = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
                        with open(f"/proc/{pid}/cmdline") as words:
                            if own in fds and pid not in ours: found.append("resource_tracker" in words.read())
                    except OSError: pass
                return found
            if __name__ == "__main__":
                print(holders())
                started().join()
                print(holders())
        """), "[]\n[True]\n")

    def test_what_was_removed_from_the_environment(self):
        self.assertEqual(self.run_proc("""
            def child():
                with open("/proc/self/environ") as file: print("SECRET" in file.read(), os.environ.get("SECRET"))
            if __name__ == "__main__":
                del os.environ["SECRET"]
                started(child).join()
                import forkserver
                forkserver.uninstall(); forkserver.install()
                os.environ["SECRET"] = "2"  # the next server meets it
                started().join()
                del os.environ["SECRET"]
                started(child).join()
        """, env=self.environment(SECRET="1")), "False None\n" * 2)


if __name__ == "__main__":
    unittest.main()
