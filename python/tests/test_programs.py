# SPDX-License-Identifier: MIT
"""Programs of the kind that is out there, under python3 -m forkserver: fds in pickles as PyTorch has them, numpy,
executors, pytest, managers."""

import sys
import textwrap
import unittest

from program import Program, needs

# What torch.multiprocessing.reductions does with a storage in the file_descriptor strategy.
STORAGE = """
import mmap, multiprocessing, os
from multiprocessing import context, reduction

class Storage:
    def __init__(self, fd, size):
        self.fd, self.size = os.dup(fd), size
        self.memory = mmap.mmap(self.fd, size)
    @classmethod
    def new(cls, size):
        fd = os.memfd_create("storage")
        try:
            os.ftruncate(fd, size)
            return cls(fd, size)
        finally:
            os.close(fd)
    def __del__(self):
        os.close(self.fd)

def rebuild(df, size):
    fd = df.detach()
    try:
        return Storage(fd, size)
    finally:
        os.close(fd)

def reduce(storage):
    return rebuild, (reduction.DupFd(storage.fd), storage.size)

reduction.register(Storage, reduce)
"""


class Fds(Program):
    def run_storage(self, text):
        self.write("storage.py", STORAGE)
        return self.run_silent(text)

    def test_as_arguments_of_a_process(self):
        self.assertEqual(self.run_storage("""
            import multiprocessing
            from storage import Storage
            def child(first, second, again):
                assert first.memory[:5] == b"hello", first.memory[:5]
                second.memory[:5] = b"world"
                again.memory[5:6] = b"!"
            if __name__ == "__main__":
                first, second = Storage.new(4096), Storage.new(1 << 20)
                first.memory[:5] = b"hello"
                more = {"second": second, "again": second}
                process = multiprocessing.Process(target=child, args=(first,), kwargs=more)
                process.start(); process.join()
                print(process.exitcode, second.memory[:6])
        """), "0 b'world!'\n")

    def test_in_a_queue_both_ways(self):
        self.assertEqual(self.run_storage("""
            import multiprocessing
            from storage import Storage
            def child(down, up, done):
                storage = down.get(timeout=30)
                storage.memory[:3] = storage.memory[:3][::-1]
                answer = Storage.new(4096)
                answer.memory[:4] = b"mine"
                up.put(answer)
                assert done.wait(30)  # the fd is this process's until it was fetched
            if __name__ == "__main__":
                down, up, done = multiprocessing.Queue(), multiprocessing.Queue(), multiprocessing.Event()
                process = multiprocessing.Process(target=child, args=(down, up, done))
                process.start()
                storage = Storage.new(4096)
                storage.memory[:3] = b"abc"
                down.put(storage)
                answer = up.get(timeout=30)
                done.set()
                process.join()
                print(process.exitcode, storage.memory[:3], answer.memory[:4])
        """), "0 b'cba' b'mine'\n")

    def test_in_pool_map_both_ways(self):
        self.assertEqual(self.run_storage("""
            import multiprocessing
            from storage import Storage
            def work(storage):
                made = Storage.new(8)
                made.memory[:1] = storage.memory[:1]
                storage.memory[1:2] = b"x"
                return made
            if __name__ == "__main__":
                storages = [Storage.new(8) for _ in range(20)]
                for i, storage in enumerate(storages): storage.memory[:1] = bytes([i])
                with multiprocessing.Pool(3) as pool:
                    made = pool.map(work, storages)
                    print([m.memory[0] for m in made] == list(range(20)), {s.memory[1:2] for s in storages})
                    pool.close(); pool.join()
        """), "True {b'x'}\n")

    def test_between_siblings_and_nested(self):
        self.assertEqual(self.run_storage("""
            import multiprocessing
            from storage import Storage
            def grandchild(storage): storage.memory[1:2] = b"g"
            def child(storage):
                storage.memory[0:1] = b"c"
                process = multiprocessing.Process(target=grandchild, args=(storage,))
                process.start(); process.join()
                assert process.exitcode == 0
            if __name__ == "__main__":
                storage = Storage.new(16)
                process = multiprocessing.Process(target=child, args=(storage,))
                process.start(); process.join()
                print(process.exitcode, storage.memory[:2])
        """), "0 b'cg'\n")

    def test_by_hand_while_spawning(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing, os
            from multiprocessing import context, forkserver
            class Handle:
                def __init__(self, fd): self.fd = fd
                def __getstate__(self):
                    context.assert_spawning(self)
                    popen = context.get_spawning_popen()
                    fd = popen.duplicate_for_child(self.fd)
                    return popen.method, fd, popen.DupFd(popen.duplicate_for_child(self.fd))
                def __setstate__(self, state):
                    self.method, index, df = state
                    self.fd, self.other = forkserver.get_inherited_fds()[index], df.detach()
            def child(handle):
                assert context.get_spawning_popen() is None
                assert handle.fd != handle.other and os.fstat(handle.fd).st_ino == os.fstat(handle.other).st_ino
                os.write(handle.fd, handle.method.encode())
            if __name__ == "__main__":
                r, w = os.pipe()
                before = len(os.listdir("/proc/self/fd"))
                process = multiprocessing.Process(target=child, args=(Handle(w),))
                process.start(); process.join()
                print(process.exitcode, os.read(r, 100), context.get_spawning_popen(), forkserver.get_inherited_fds())
                try: multiprocessing.Queue().put(1); context.assert_spawning(process)
                except RuntimeError as error: print("through inheritance" in str(error))
        """), "0 b'forkserver' None None\nTrue\n")

    def test_connections_sockets_and_locks(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing, os, socket
            from multiprocessing import sharedctypes
            def child(connection, sock, lock, value, array, barrier):
                with lock: value.value += 1
                array[0] = 2.5
                sock.sendall(b"socket"); sock.close()
                connection.send("pipe")
                inner, outer = multiprocessing.Pipe()
                connection.send(inner)
                outer.send("a pipe in a pipe")
                barrier.wait(30)
            if __name__ == "__main__":
                here, there = multiprocessing.Pipe()
                one, other = socket.socketpair()
                lock, value = multiprocessing.RLock(), multiprocessing.Value("i", 41)
                array = multiprocessing.Array("d", 3)
                barrier = multiprocessing.Barrier(2)
                process = multiprocessing.Process(target=child, args=(there, other, lock, value, array, barrier))
                process.start(); other.close(); there.close()
                print(here.recv(), here.recv().recv(), one.recv(100), one.recv(1))
                barrier.wait(30); process.join()
                print(process.exitcode, value.value, list(array))
        """), "pipe a pipe in a pipe b'socket' b''\n0 42 [2.5, 0.0, 0.0]\n")

    def test_no_fd_is_lost(self):
        self.assertEqual(self.run_storage("""
            import gc, multiprocessing, os
            from storage import Storage
            class Bad:
                def __reduce__(self): raise ValueError("on purpose")
            def child(storage): pass
            if __name__ == "__main__":
                storage, counts = Storage.new(16), []
                for _ in range(20):
                    process = multiprocessing.Process(target=child, args=(storage,))
                    process.start(); process.join(); process.close()
                    try: multiprocessing.Process(target=child, args=(storage, Bad())).start()
                    except ValueError: pass
                    gc.collect()
                    counts.append(len(os.listdir("/proc/self/fd")))
                print(len(set(counts[1:])))
        """), "1\n")


class Numpy(Program):
    @needs("numpy")
    def test_in_pool_map(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing
            import numpy
            def work(array): return array @ array.T
            if __name__ == "__main__":
                arrays = [numpy.full((50, 40), i, dtype=float) for i in range(20)]
                with multiprocessing.Pool(3) as pool:
                    results = pool.map(work, arrays)
                    pool.close(); pool.join()
                print(all((result == array @ array.T).all() for result, array in zip(results, arrays)), len(results))
        """), "True 20\n")

    @needs("numpy")
    def test_over_shared_memory(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing
            from multiprocessing import shared_memory
            import numpy
            def work(name, i):
                memory = shared_memory.SharedMemory(name=name)
                array = numpy.ndarray((8, 1000), dtype=numpy.int64, buffer=memory.buf)
                array[i] = i
                del array
                memory.close()
            if __name__ == "__main__":
                memory = shared_memory.SharedMemory(create=True, size=8 * 8000)
                array = numpy.ndarray((8, 1000), dtype=numpy.int64, buffer=memory.buf)
                array[:] = -1
                with multiprocessing.Pool(3) as pool:
                    pool.starmap(work, [(memory.name, i) for i in range(4)])
                    pool.close(); pool.join()
                processes = [multiprocessing.Process(target=work, args=(memory.name, i)) for i in range(4, 8)]
                for process in processes: process.start()
                for process in processes: process.join()
                print((array == numpy.arange(8)[:, None]).all(), [process.exitcode for process in processes])
                del array
                memory.close(); memory.unlink()
                try: shared_memory.SharedMemory(name=memory.name)
                except FileNotFoundError: print("unlinked")
        """), "True [0, 0, 0, 0]\nunlinked\n")

    @needs("numpy")
    def test_siblings_draw_other_numbers(self):
        """But not if the main module seeds: then they draw the same, as under the stock server."""
        program = """
            import multiprocessing, random, sys
            import numpy
            SEED
            def draw(_=None): return random.random(), numpy.random.random()
            def child(queue): queue.put(draw())
            if __name__ == "__main__":
                multiprocessing.set_forkserver_preload(["__main__", "numpy"])
                queue = multiprocessing.Queue()
                processes = [multiprocessing.Process(target=child, args=(queue,)) for _ in range(8)]
                for process in processes: process.start()
                draws = [queue.get(timeout=30) for _ in processes] + [draw()]
                for process in processes: process.join()
                print(len({a for a, _ in draws}), len({b for _, b in draws}))
        """
        self.assertEqual(self.run_silent(program.replace("SEED", "")), "9 9\n")
        self.assertEqual(self.run_silent(program.replace("SEED", "random.seed(1); numpy.random.seed(1)")), "1 1\n")


    @needs("numpy")
    def test_generators_of_a_preloaded_module(self):
        """Those that nobody has seeded draw other numbers in each child, the others the same."""
        self.write("made.py", """
            import random
            import numpy
            generators = [random.Random().random, numpy.random.default_rng().random, numpy.random.RandomState().rand,
                          numpy.random.Generator(numpy.random.Philox()).random, random.random, numpy.random.rand,
                          random.Random(5).random, numpy.random.default_rng(5).random, numpy.random.RandomState(5).rand]
        """)
        self.assertEqual(self.run_silent("""
            import multiprocessing
            def child(queue):
                import made
                queue.put([draw() for draw in made.generators])
            if __name__ == "__main__":
                multiprocessing.set_forkserver_preload(["made"])
                queue = multiprocessing.SimpleQueue()
                processes = [multiprocessing.Process(target=child, args=(queue,)) for _ in range(5)]
                for process in processes: process.start()
                draws = [queue.get() for _ in processes]
                for process in processes: process.join()
                print(*(len(set(one)) for one in zip(*draws)))
        """), "5 5 5 5 5 5 1 1 1\n")


class SharedMemory(Program):
    def test_what_a_child_makes_and_the_parent_unlinks(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing
            from multiprocessing import shared_memory
            def child(connection):
                memory = shared_memory.SharedMemory(create=True, size=10)
                memory.buf[:4] = b"data"
                connection.send(memory.name)
                memory.close()
            if __name__ == "__main__":
                here, there = multiprocessing.Pipe()
                process = multiprocessing.Process(target=child, args=(there,))
                process.start(); process.join()
                memory = shared_memory.SharedMemory(name=here.recv())
                print(process.exitcode, bytes(memory.buf[:4]))
                memory.close(); memory.unlink()
        """), "0 b'data'\n")

    def test_what_nobody_unlinks_the_tracker_does(self):
        self.run_script("""
            import multiprocessing
            from multiprocessing import shared_memory
            def child(): shared_memory.SharedMemory(create=True, size=10).close()
            if __name__ == "__main__":
                process = multiprocessing.Process(target=child)
                process.start(); process.join()
        """)
        self.assertIn("1 leaked shared_memory objects", self.errors)


class Executors(Program):
    @unittest.skipIf(sys.version_info < (3, 11), "max_tasks_per_child came with 3.11")
    def test_max_tasks_per_child(self):
        # One at a time: with more the executor itself comes to a stop, whatever starts its workers (gh-115634). With a
        # context: without one it takes "spawn" for this.
        self.assertEqual(self.run_silent("""
            import multiprocessing, os
            from concurrent.futures import ProcessPoolExecutor
            if __name__ == "__main__":
                import forkserver
                with ProcessPoolExecutor(1, multiprocessing.get_context(), max_tasks_per_child=3) as executor:
                    pids = [executor.submit(os.getpid).result(30) for _ in range(7)]
                print([pids.count(pid) for pid in dict.fromkeys(pids)], forkserver.stats()["served"])
        """), "[3, 3, 1] 3\n")

    def test_initializer_and_context(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing
            from concurrent.futures import ProcessPoolExecutor
            state = None
            def prepare(value):
                global state
                state = value
            def work(x): return state + x
            if __name__ == "__main__":
                import forkserver
                for context in (None, multiprocessing.get_context("forkserver"), multiprocessing.get_context("spawn")):
                    with ProcessPoolExecutor(2, mp_context=context, initializer=prepare, initargs=(10,)) as executor:
                        print(sum(executor.map(work, range(5), chunksize=2)), forkserver.stats()["served"] > 0)
        """), "60 True\n" * 3)

    def test_a_worker_that_dies(self):
        self.assertEqual(self.run_script("""
            import os
            from concurrent.futures import ProcessPoolExecutor
            from concurrent.futures.process import BrokenProcessPool
            def prepare(): raise ValueError("on purpose")
            if __name__ == "__main__":
                with ProcessPoolExecutor(2) as executor:
                    try: executor.submit(os._exit, 3).result(30)
                    except BrokenProcessPool: print("broken")
                with ProcessPoolExecutor(1, initializer=prepare) as executor:
                    try: executor.submit(os.getpid).result(30)
                    except BrokenProcessPool: print("broken")
        """), "broken\n" * 2)
        self.assertIn("ValueError: on purpose", self.errors)

    def test_a_pool_that_replaces_its_workers(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing, os
            def work(x): return os.getpid()
            def fail(x): raise KeyError(x)
            if __name__ == "__main__":
                with multiprocessing.Pool(2, maxtasksperchild=2) as pool:
                    print(len(set(pool.map(work, range(8), chunksize=1))) >= 4)
                    try: pool.apply(fail, ("key",))
                    except KeyError as error: print(repr(error))
                    print(sorted(pool.imap_unordered(abs, range(-3, 0))))
                    pool.terminate(); pool.join()
        """), "True\nKeyError('key')\n[1, 2, 3]\n")


class Managers(Program):
    def test_across_nested_children(self):
        self.assertEqual(self.run_silent("""
            import multiprocessing
            def grandchild(shared, lock, key):
                for _ in range(20):
                    with lock: shared["n"] += 1
                shared["key"] = bytes(multiprocessing.current_process().authkey) == key
            def child(shared, lock, key):
                processes = [multiprocessing.Process(target=grandchild, args=(shared, lock, key)) for _ in range(2)]
                for process in processes: process.start()
                for process in processes: process.join()
                shared["codes"] = shared["codes"] + [process.exitcode for process in processes]
            if __name__ == "__main__":
                multiprocessing.current_process().authkey = key = b"secret"
                with multiprocessing.Manager() as manager:
                    shared, lock = manager.dict(n=0, codes=[]), manager.Lock()
                    process = multiprocessing.Process(target=child, args=(shared, lock, key))
                    process.start(); process.join()
                    print(process.exitcode, dict(shared))
        """), "0 {'n': 40, 'codes': [0, 0], 'key': True}\n")

    def test_manager_of_ones_own(self):
        self.assertEqual(self.run_silent("""
            from multiprocessing import Process
            from multiprocessing.managers import BaseManager, SharedMemoryManager
            class Counter:
                def __init__(self): self.n = 0
                def add(self, n): self.n += n; return self.n
            class Manager(BaseManager): pass
            Manager.register("Counter", Counter)
            def child(counter, values): counter.add(5); values[0] = 9
            if __name__ == "__main__":
                with Manager() as manager, SharedMemoryManager() as memory:
                    counter, values = manager.Counter(), memory.ShareableList([1, "x"])
                    process = Process(target=child, args=(counter, values))
                    process.start(); process.join()
                    print(process.exitcode, counter.add(1), list(values))
        """), "0 6 [9, 'x']\n")


class Pytest(Program):
    @needs("pytest")
    def test_capfd_sees_what_a_child_writes(self):
        self.write("test_it.py", textwrap.dedent("""
            import multiprocessing, sys
            import forkserver
            forkserver.install()

            def child(): print("from the child"); print("its error", file=sys.stderr)

            def run():
                process = multiprocessing.Process(target=child)
                process.start(); process.join()
                assert process.exitcode == 0

            def test_before(capfd):
                run()
                assert capfd.readouterr() == ("from the child\\n", "its error\\n")

            def test_again(capfd):
                for _ in range(2):
                    run()
                    assert capfd.readouterr() == ("from the child\\n", "its error\\n")

            def test_from_the_server():
                assert forkserver.stats()["served"] == 3
        """))
        output = self.execute("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py")
        self.assertIn("3 passed", output)
        self.assertNotIn("from the child", output)


if __name__ == "__main__":
    unittest.main()
