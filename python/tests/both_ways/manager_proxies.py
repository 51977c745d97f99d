# SPDX-License-Identifier: MIT
"""SyncManager: dicts, lists, namespaces, queues, locks, nested, used by children."""
import multiprocessing as mp


def work(shared, things, name, lock, queue):
    with lock:
        shared[len(shared)] = name
        things[0]["inner"].append(name)
    queue.put(mp.current_process().name)


if __name__ == "__main__":
    with mp.Manager() as manager:
        shared, things = manager.dict(), manager.list([manager.dict(inner=manager.list())])
        lock, queue, space = manager.Lock(), manager.Queue(), manager.Namespace(x=1)
        processes = [mp.Process(target=work, args=(shared, things, n, lock, queue)) for n in range(3)]
        for process in processes: process.start()
        for process in processes: process.join()
        space.y = 2
        print(sorted(shared.values()), sorted(things[0]["inner"]), sorted(queue.get() for _ in processes), space)
        try: shared["missing"]
        except KeyError as error: print(repr(error))
        event = manager.Event(); event.set()
        print(event.is_set(), manager.Value("i", 5).value, manager.Array("i", [1, 2])[1])
    print(manager._process.exitcode if hasattr(manager, "_process") else None)
