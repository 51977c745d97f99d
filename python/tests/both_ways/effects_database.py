# SPDX-License-Identifier: MIT
"""Rows that the main module adds to a database at import."""
# needs: sqlite3
import multiprocessing as mp
import sqlite3
with sqlite3.connect("base") as base:
    base.execute("create table if not exists t (n)")
    base.execute("insert into t values (1)")
base.close()


def child(): pass


if __name__ == "__main__":
    for _ in range(3):
        process = mp.Process(target=child)
        process.start(); process.join()
    print(sqlite3.connect("base").execute("select count(*) from t").fetchone(), process.exitcode)
