# SPDX-License-Identifier: MIT
"""FORKSERVER_INSTALL=1 in an interpreter that uses no multiprocessing imports none of it."""
# way: install
# environment: FORKSERVER_INSTALL=1
import sys
print([name for name in sorted(sys.modules) if name.startswith(("multiprocessing", "concurrent", "socket", "pickle"))])
