# SPDX-License-Identifier: MIT
"""What is written and not flushed before os._exit(), an uncaught error, and sys.exit() in a thread."""
# run: maker.py
# file: ending.py
import os, sys, threading
print("printed", sys.argv[1])
if sys.argv[1] == "hard": os._exit(3)
if sys.argv[1] == "thread": t = threading.Thread(target=sys.exit, args=(4,)); t.start(); t.join()
if sys.argv[1] == "late": threading.Timer(0.2, print, ("late",)).start()
if sys.argv[1] == "abort": os.abort()
# file: maker.py
import subprocess, sys
launcher = [sys.executable] + (["-m", "forkserver"] if "forkserver" in sys.modules else [])
for word in "hard", "thread", "late", "abort":
    result = subprocess.run([*launcher, "ending.py", word], capture_output=True, text=True)
    print(word, result.returncode, result.stdout, result.stderr)
