# SPDX-License-Identifier: MIT
"""A program on standard input: its main and arguments; what follows it cannot be read."""
# run: - a b
import sys
print(sys.argv, repr(sys.path[0]), "__file__" in globals(), __spec__, type(__loader__).__name__)
print("read on:", repr(sys.stdin.read()))
