# SPDX-License-Identifier: MIT
"""Fifty megabytes as an argument and back."""
import multiprocessing as mp


def child(connection, data): connection.send_bytes(data[::-1])


if __name__ == "__main__":
    ours, its = mp.Pipe()
    data = bytes(range(256)) * 200000
    process = mp.Process(target=child, args=(its, data))
    process.start()
    print(ours.recv_bytes() == data[::-1])
    process.join()
    print(process.exitcode)
