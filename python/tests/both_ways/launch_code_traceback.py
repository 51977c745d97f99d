# SPDX-License-Identifier: MIT
"""An exception in -c."""
# run: -c {text}
def inner():
    return 1 / 0
inner()
