# SPDX-License-Identifier: MIT
"""A script with an error of syntax: the interpreter's message, and none of our frames."""
# run: broken.py
# file: broken.py.txt
# file: broken.py
x = 1
print("never"
y = 2
