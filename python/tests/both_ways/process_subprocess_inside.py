# SPDX-License-Identifier: MIT
"""A subprocess in a child: its streams, its exit code, its environment, and what it inherits."""
import multiprocessing as mp
import os
import subprocess


def child():
    print(subprocess.run(["sh", "-c", "echo out; echo err >&2; exit 3"]).returncode, flush=True)
    print(subprocess.check_output(["sh", "-c", "ls /proc/self/fd | wc -l"], close_fds=False, text=True).strip(),
          flush=True)
    print(subprocess.run(["cat"], input="through", stdout=subprocess.PIPE, text=True).stdout, flush=True)
    print(os.popen("echo popen").read().strip(), os.system("exit 2"), flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
