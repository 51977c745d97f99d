# SPDX-License-Identifier: MIT
"""The program's frame is the outermost; warnings and logging name what they name."""
import inspect
import logging
import sys
import warnings


def deep(n=1):
    try: return deep(n + 1)
    except RecursionError: return n


if __name__ == "__main__":
    print([(frame.function, frame.lineno) for frame in inspect.stack()], sys._getframe().f_back)
    warnings.warn("of the caller", UserWarning, stacklevel=2)
    warnings.warn("of here")
    logging.basicConfig(stream=sys.stdout, format="%(filename)s %(lineno)d %(module)s %(funcName)s %(message)s")
    logging.warning("said", stacklevel=3)
    print(deep())
