# SPDX-License-Identifier: MIT
"""Its children are measured too: coverage's concurrency = multiprocessing."""
import multiprocessing


def only_in_a_child(flag):
    if flag:
        value = 1
    else:
        value = None
    return value


def nowhere():
    return "never"


if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        print(pool.map(only_in_a_child, [True, False, True]))
        pool.close()
        pool.join()
    process = multiprocessing.Process(target=only_in_a_child, args=(True,))
    process.start()
    process.join()
    print(process.exitcode)
