# SPDX-License-Identifier: MIT
"""What sys.exit() takes."""
import subprocess
import sys
if len(sys.argv) > 1:
    value = sys.argv[1]
    sys.exit({"none": None, "text": "a text", "list": [1, 2], "float": 1.5, "true": True}.get(value) if value.isalpha()
             else int(value))
for word in "0", "3", "255", "256", "-1", "none", "text", "list", "float", "true":
    launcher = [sys.executable] + (["-m", "forkserver"] if "forkserver" in sys.modules else [])
    result = subprocess.run([*launcher, __file__, word], capture_output=True, text=True)
    print(word, result.returncode, result.stderr)
