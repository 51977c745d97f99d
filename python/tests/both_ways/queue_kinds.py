# SPDX-License-Identifier: MIT
"""Queue, JoinableQueue and SimpleQueue between a program and its children, both ways."""
import multiprocessing as mp


def work(jobs, results):
    while True:
        job = jobs.get()
        if job is None: break
        results.put((job, job * job))
        jobs.task_done()
    jobs.task_done()


def echo(simple, out): out.put(simple.get() + simple.get())


if __name__ == "__main__":
    jobs, results, simple = mp.JoinableQueue(), mp.Queue(), mp.SimpleQueue()
    processes = [mp.Process(target=work, args=(jobs, results)) for _ in range(2)]
    for process in processes: process.start()
    for number in range(10): jobs.put(number)
    for _ in processes: jobs.put(None)
    print(sorted(results.get(timeout=20) for _ in range(10)))
    jobs.join()
    for process in processes: process.join()
    process = mp.Process(target=echo, args=(simple, simple))
    simple.put("a"); simple.put("b")
    process.start(); process.join()
    print(simple.get(), [process.exitcode for process in processes])
