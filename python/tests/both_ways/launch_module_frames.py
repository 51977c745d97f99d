# SPDX-License-Identifier: MIT
"""The frames below a module that -m runs."""
# run: -m tool
# file: tool.py
import inspect
import warnings
if __name__ == "__main__":
    print([(frame.function, frame.lineno, frame.filename.rpartition("/")[2]) for frame in inspect.stack()])
    warnings.warn("of the caller", UserWarning, stacklevel=2)
