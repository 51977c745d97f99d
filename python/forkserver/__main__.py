# SPDX-License-Identifier: MIT
"""python3 -m forkserver: runs a program with the fork server as the default. See _launcher.py."""

if __name__ == "__main__":
    # This namespace becomes the program's: no name of ours is in it.
    __import__("forkserver._launcher")._launcher.main(globals())
