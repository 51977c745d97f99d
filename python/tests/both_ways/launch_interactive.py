# SPDX-License-Identifier: MIT
"""-i: what follows the script is asked for, in the script's own namespace."""
# options: -i -q
# input: print("asked", VALUE, __name__)\np = mp.Process(target=len, args=("",)); p.start(); p.join(); p.exitcode\n
import multiprocessing as mp
VALUE = 5
if __name__ == "__main__":
    print("script")
