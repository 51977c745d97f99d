# SPDX-License-Identifier: MIT
"""What a preloaded module, and the main module at import, set in os.environ is there in a child."""
# run: main.py
# file: setting.py
import os
os.environ["FROM_PRELOAD"] = "1"
os.environ.pop("REMOVED", None)
# file: main.py
import multiprocessing as mp
import os
import sys
os.environ.setdefault("FROM_MAIN", __name__)


def child():
    print("setting" in sys.modules, os.environ.get("FROM_PRELOAD"), os.environ.get("FROM_MAIN"), flush=True)
    print(os.system('echo "$FROM_PRELOAD $FROM_MAIN"'), flush=True)


if __name__ == "__main__":
    mp.set_forkserver_preload(["setting"])
    process = mp.Process(target=child)
    process.start(); process.join()
