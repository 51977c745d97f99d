# SPDX-License-Identifier: MIT
"""A script that isn't there."""
# run: nothing.py
