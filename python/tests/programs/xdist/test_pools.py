# SPDX-License-Identifier: MIT
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest


class Result:
    def __init__(self, value):
        self.value = value


def work(number):
    return Result(number + 1)


@pytest.mark.parametrize("number", range(8))
def test_pool(number):
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        assert pool.apply_async(work, (number,)).get(20).value == number + 1


@pytest.mark.parametrize("number", range(4))
def test_executor(number):
    with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as executor:
        assert executor.submit(work, number).result(20).value == number + 1


def test_that_fails():
    process = multiprocessing.get_context("forkserver").Process(target=work, args=(None,))
    process.start()
    process.join()
    assert process.exitcode == 0
