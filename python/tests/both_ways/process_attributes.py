# SPDX-License-Identifier: MIT
"""Names, daemon flags, idents, repr(), parent_process(), active_children() of processes."""
import multiprocessing as mp
import os


def child(connection):
    me, parent = mp.current_process(), mp.parent_process()
    connection.send((me.name, me.daemon, me.pid == os.getpid(), me.ident == me.pid, parent.name, parent.is_alive(),
                     repr(parent).split()[0], mp.active_children()))
    connection.recv()


if __name__ == "__main__":
    ours, its = mp.Pipe()
    for options in {}, {"name": "a name"}, {"daemon": True}:
        process = mp.Process(target=child, args=(its,), **options)
        print(process, process.pid, process.exitcode)
        process.start()
        print(ours.recv(), process in mp.active_children(), process.is_alive())
        ours.send(None)
        process.join()
        print(repr(process), process.exitcode, mp.active_children(), process.authkey == mp.current_process().authkey)
