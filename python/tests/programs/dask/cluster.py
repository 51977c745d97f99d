# SPDX-License-Identifier: MIT
"""Dask's LocalCluster: two workers with nannies, tasks, an error, a worker that is restarted."""
import logging
import operator
import os

from distributed import Client, LocalCluster


def square(number):
    return number * number


def fail():
    raise KeyError("of a task")


if __name__ == "__main__":
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with LocalCluster(n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None,
                      host="127.0.0.1") as cluster, Client(cluster) as client:
        print(client.gather(client.map(square, range(10))))
        print(client.submit(operator.add, 1, 2).result(timeout=30))
        try:
            client.submit(fail).result(timeout=30)
        except KeyError as error:
            print(repr(error))
        before = client.run(os.getpid)
        client.restart(timeout=60)
        after = client.run(os.getpid)
        print(len(before), len(after), set(before.values()) & set(after.values()))
        print(client.submit(sum, [1, 2, 3]).result(timeout=30))
