# SPDX-License-Identifier: MIT
"""A connection to sqlite that the main module makes at import, used by siblings at once."""
# needs: sqlite3
import multiprocessing as mp
import sqlite3
connection = sqlite3.connect("base", timeout=20, isolation_level=None)
connection.execute("create table if not exists numbers (n)")
memory = sqlite3.connect(":memory:")
memory.execute("create table t (x)")


def child(number):
    for _ in range(5): connection.execute("insert into numbers values (?)", (number,))
    memory.execute("insert into t values (1)")
    assert memory.execute("select count(*) from t").fetchone() == (1,)


if __name__ == "__main__":
    processes = [mp.Process(target=child, args=(number,)) for number in range(4)]
    for process in processes: process.start()
    for process in processes: process.join()
    print([process.exitcode for process in processes], connection.execute("select count(*) from numbers").fetchone())
