# SPDX-License-Identifier: MIT
import multiprocessing

import library


def test_process():
    process = multiprocessing.Process(target=library.in_child, args=(True,))
    process.start()
    process.join()
    assert process.exitcode == 0


def test_pool():
    pool = multiprocessing.Pool(1)
    assert pool.map(library.in_child, [False]) == ["no"]
    pool.close()
    pool.join()
