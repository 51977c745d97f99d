# SPDX-License-Identifier: MIT
"""A directory without __main__.py."""
# run: empty
# file: empty/other.py
