# SPDX-License-Identifier: MIT
"""The same with pandas and numpy in it."""

import numpy
import pandas

from plain import *

if __name__ == "__main__":
    main(["pandas", "numpy"])
