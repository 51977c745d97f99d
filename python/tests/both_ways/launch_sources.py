# SPDX-License-Identifier: MIT
"""Scripts with a byte order mark, with CRLF, empty, with a null byte, with a form feed, with tabs mixed."""
# run: maker.py
# file: maker.py
import subprocess, sys
launcher = [sys.executable] + (["-m", "forkserver"] if "forkserver" in sys.modules else [])
SOURCES = {"mark": b"\xef\xbb\xbfprint('mark')\n", "crlf": b"if 1:\r\n    print('''a\r\nb''')\r\n", "empty": b"",
           "null": b"print(1)\n\0", "tabs": b"if 1:\n\tx = 1\n        y = 2\n", "cut": b"print('no newline')",
           "bytes": b"print('\xff')\n", "coding": b"# coding: nothing\nprint(1)\n", "feed": b"\x0cprint('feed')\n"}
for name, source in SOURCES.items():
    with open(name + ".py", "wb") as file: file.write(source)
    result = subprocess.run([*launcher, name + ".py"], capture_output=True, text=True)
    print(name, result.returncode, result.stdout, result.stderr)
