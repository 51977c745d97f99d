# SPDX-License-Identifier: MIT
"""^C that nobody catches ends the program as the interpreter ends."""
import os
import signal
if __name__ == "__main__":
    os.kill(os.getpid(), signal.SIGINT)
