# SPDX-License-Identifier: MIT
"""sys.orig_argv says how the program was started."""
# versions: 3.10-
# options: -X utf8
# run: launch_original_arguments.py a
import sys
print(sys.orig_argv[1:], sys._xoptions)
