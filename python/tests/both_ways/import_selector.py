# SPDX-License-Identifier: MIT
"""An epoll object and a pipe that the main module makes at import: a child's own, not shared with its siblings."""
import multiprocessing as mp
import os
import select
poll, (reader, writer) = select.epoll(), os.pipe()
poll.register(reader, select.EPOLLIN)


def child(queue, begin):
    os.write(writer, b"x")
    begin.wait()
    found = poll.poll(5)
    queue.put((len(found), os.read(reader, 10)))


if __name__ == "__main__":
    queue, begin = mp.Queue(), mp.Barrier(3)
    processes = [mp.Process(target=child, args=(queue, begin)) for _ in range(3)]
    for process in processes: process.start()
    print([queue.get(timeout=20) for _ in processes])
    for process in processes: process.join()
