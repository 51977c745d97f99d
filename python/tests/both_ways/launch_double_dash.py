# SPDX-License-Identifier: MIT
"""A script after --."""
# options: -B
# run: -- launch_double_dash.py -x
import sys
print(sys.argv, __name__)
