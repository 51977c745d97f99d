# SPDX-License-Identifier: MIT
"""What a Pool can: map, starmap, imap, unordered, apply_async with callbacks and errors, chunks."""
import multiprocessing as mp


def square(x): return x * x
def add(x, y): return x + y
def fail(x): raise ValueError(x)


if __name__ == "__main__":
    with mp.Pool(3) as pool:
        print(pool.map(square, range(10), chunksize=3), pool.starmap(add, [(1, 2), (3, 4)]))
        print(list(pool.imap(square, range(5))), sorted(pool.imap_unordered(square, range(5), chunksize=2)))
        seen = []
        pool.apply_async(square, (5,), callback=seen.append).wait(20)
        pool.apply_async(fail, (6,), error_callback=lambda error: seen.append(repr(error))).wait(20)
        print(seen)
        for call in (pool.map, lambda function, items: list(pool.imap(function, items))):
            try: call(fail, [1])
            except ValueError as error: print("raised", error, type(error.__cause__).__name__)
        try: pool.apply(fail, (1,))
        except ValueError as error: print(error.__cause__)
        try: pool.apply_async(square, (lambda: 0,)).get(20)
        except Exception as error: print(type(error).__name__, error)
    try: pool.map(square, [1])
    except ValueError as error: print(error)
