# SPDX-License-Identifier: MIT
"""The exception of the package. It is apart, so that the extension can import it."""


class Error(OSError):
    """An error of the fork server: `errno`, `strerror` (a sentence that names the thing), `stage` ("preload",
    "exec", …; the names of enum fsrv_stage)."""

    def __init__(self, errno, text, stage):
        super().__init__(errno, text)
        self.stage = stage

    def __reduce__(self):
        return type(self), (self.errno, self.strerror, self.stage)

    def __str__(self):
        return f"{self.strerror} [{self.stage}]"
