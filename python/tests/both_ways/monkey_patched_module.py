# SPDX-License-Identifier: MIT
"""What the program changes in a module after import is not in the child; what it changes at import is."""
import json
import multiprocessing as mp
json.dumps = lambda *_: "patched at import"


def child(): print(json.dumps({}), json.loads("1"), flush=True)


if __name__ == "__main__":
    json.loads = lambda *_: "patched later"
    process = mp.Process(target=child)
    process.start(); process.join()
