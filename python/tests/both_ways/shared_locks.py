# SPDX-License-Identifier: MIT
"""Lock, RLock, Semaphore, BoundedSemaphore, Event, Condition, Barrier among processes."""
import multiprocessing as mp


def work(lock, recursive, event, barrier, condition, count):
    event.wait(20)
    with lock, recursive, recursive: count.value += 1
    barrier.wait(20)
    with condition: condition.notify()


if __name__ == "__main__":
    lock, recursive, event, condition = mp.Lock(), mp.RLock(), mp.Event(), mp.Condition()
    barrier, count = mp.Barrier(4), mp.RawValue("i", 0)
    processes = [mp.Process(target=work, args=(lock, recursive, event, barrier, condition, count)) for _ in range(3)]
    with condition:
        for process in processes: process.start()
        event.set()
        barrier.wait(20)
        print(count.value, condition.wait(20))
    for process in processes: process.join()
    bounded = mp.BoundedSemaphore(1)
    for release in bounded.release, lock.release:
        try: release()
        except ValueError as error: print(error)
    print([process.exitcode for process in processes], lock, recursive)
