# SPDX-License-Identifier: MIT
"""Shared memory that a child makes and its parent takes over and unlinks: the tracker is one for both."""
import multiprocessing as mp
from multiprocessing import shared_memory


def child(connection):
    block = shared_memory.SharedMemory(create=True, size=10)
    block.buf[0] = 7
    connection.send(block.name)
    connection.recv()
    block.close()


if __name__ == "__main__":
    ours, its = mp.Pipe()
    process = mp.Process(target=child, args=(its,))
    process.start()
    block = shared_memory.SharedMemory(ours.recv())
    ours.send(None)
    process.join()
    print(block.buf[0], process.exitcode)
    block.close(); block.unlink()
