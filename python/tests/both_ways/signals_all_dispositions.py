# SPDX-License-Identifier: MIT
"""What the kernel and the signal module say of every signal in a child, and its mask."""
import multiprocessing as mp
import signal


def masks():
    return [line.split() for line in open("/proc/self/status") if line.startswith(("SigBlk", "SigIgn", "SigCgt"))]


def child():
    kinds = {signal.SIG_DFL: "default", signal.SIG_IGN: "ignored", signal.default_int_handler: "interrupt", None: "C"}
    for number in sorted(signal.valid_signals()):
        now = signal.getsignal(number)
        if now != signal.SIG_DFL: print(number, kinds.get(now, "handled"), end="; ")
    print(masks(), flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
