# SPDX-License-Identifier: MIT
"""What a process is to itself while its main module is imported: name, parent, daemon, key."""
import multiprocessing as mp
me = mp.current_process()
SEEN = me.name, me.daemon, mp.parent_process() is not None, bytes(me.authkey) == b"the key", mp.get_start_method(True)


def child(): print(SEEN, flush=True)


if __name__ == "__main__":
    me.authkey = b"the key"
    print(SEEN, flush=True)
    process = mp.Process(target=child, name="a name", daemon=True)
    process.start(); process.join()
