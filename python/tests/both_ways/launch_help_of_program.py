# SPDX-License-Identifier: MIT
"""Options that look like the interpreter's belong to the program."""
# run: launch_help_of_program.py -h --version -c -
import sys
print(sys.argv[1:])
