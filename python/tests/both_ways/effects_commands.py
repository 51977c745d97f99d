# SPDX-License-Identifier: MIT
"""Commands that the main module runs at import."""
import multiprocessing as mp
import os
import subprocess
os.system("echo system >> commands")
subprocess.run(["sh", "-c", "echo subprocess >> commands"])
os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", "echo spawn >> commands"], os.environ), 0)
os.popen("echo popen >> commands").close()


def child(): pass


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
    words = open("commands").read().split()
    print({word: words.count(word) for word in sorted(set(words))}, process.exitcode)
