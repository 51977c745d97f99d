# SPDX-License-Identifier: MIT
"""-cCODE in one word."""
# run: "-cimport sys; print(sys.argv, __name__)" x
