# SPDX-License-Identifier: MIT
"""A frozen program as PyInstaller makes them: its hook runs what it knows as the server's command, else the program."""
# way: install
# environment: FORKSERVER_INSTALL=1
# run: builder.py
# file: builder.py
import os, subprocess, sys
with open("app", "w") as file: file.write(f"#!{sys.executable}\n" + open("program.py").read())
os.chmod("app", 0o755)
result = subprocess.run([os.path.abspath("app")], capture_output=True, text=True)
print(result.returncode, result.stdout, result.stderr)
# file: program.py
import multiprocessing as mp, os, sys
from multiprocessing import util
os.environ["DEPTH"] = depth = os.environ.get("DEPTH", "") + "x"
if len(depth) > 6: os._exit(99)  # it would go on and on
KNOWN = "from multiprocessing.resource_tracker import main", "from multiprocessing.forkserver import main"
if len(sys.argv) >= 2 and sys.argv[-2] == "-c" and sys.argv[-1].startswith(KNOWN):
    if set(sys.argv[1:-2]) == set(util._args_from_interpreter_flags()): exec(sys.argv[-1]); sys.exit()
sys.frozen = True
mp.set_executable(sys.argv[0])
def child(queue): queue.put("child ran")
if __name__ == "__main__":
    queue = mp.SimpleQueue()
    process = mp.Process(target=print, args=("child ran",))
    process.start(); process.join()
    print(process.exitcode)
