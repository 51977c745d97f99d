# SPDX-License-Identifier: MIT
"""An exception in a module that -m runs."""
# run: -m tool
# file: tool.py
def inner():
    raise KeyError("of the module")


if __name__ == "__main__":
    inner()
