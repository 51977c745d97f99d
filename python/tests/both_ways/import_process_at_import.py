# SPDX-License-Identifier: MIT
"""A subprocess that the main module runs at import, and one that it leaves running until its end."""
import multiprocessing as mp
import subprocess
ANSWER = subprocess.run(["echo", "said"], stdout=subprocess.PIPE, text=True).stdout
cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def child():
    cat.stdin.write("through cat\n")
    cat.stdin.close()
    print(ANSWER, cat.stdout.readline(), cat.wait(), flush=True)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
        print(process.exitcode, flush=True)
    cat.stdin.close(); cat.stdout.close(); cat.wait()
