#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Types what the documents say: pages.py PREFIX PAGE…

PREFIX is an installation. Of each page, in a directory and a shell of its own, in their order:
- a block in another language than "console", "sh" or "text" becomes the file NAME, if the line before it ends in
  "`NAME`:" or is <!-- file: NAME -->;
- of a "console" block each line that begins with "$ " is typed (a line that ends in a backslash, or behind a "<<END",
  goes on), and what it prints must be the lines below it: "…" stands for anything within a line, a line of "…" alone
  for any lines.
All others are not run. So there must be a reason before a block in a language: <!-- not run: … -->
A block within a comment counts as any other: it is for the test alone.
"""

import glob
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.S | re.M)
FILE = re.compile(r"(?:`|<!-- file: )([\w./-]+)(?:`:| -->)\s*$")
NO_LANGUAGE = ("", "text")
LIMIT = 60 * float(os.environ.get("FORKSERVER_TEST_PATIENCE", "1"))
# Each command is in a file of its own; the shell's own standard input brings their names.
# Each begins with the exit code of the one before it in $?.
LOOP = r'''
end_with() { return "$1"; }
code=0
while read -r -u 9 file; do end_with $code; . "$file" </dev/null 2>&1; code=$?; printf "\n\1%d\n" $code; done
'''


class Wrong(Exception):
    pass


def blocks(text):
    """Yields (language, what the line before says, contents)."""
    for found in FENCE.finditer(text):
        before = text[:found.start()].rstrip().rpartition("\n")[2]
        indent = len(found[1])
        yield found[2], before, "".join(line[indent:] or "\n" for line in found[3].splitlines(keepends=True))
    if left := re.search(r"^ *```.*", FENCE.sub("", text), re.M):
        raise Wrong(f"a block that begins or ends at no line of its own: {left[0]}")


def commands(block):
    """Yields (command, the lines that it prints)."""
    lines = block.splitlines()
    while lines:
        line = lines.pop(0)
        if not line.startswith("$ "):
            raise Wrong(f"a console block begins with no command: {line}")
        command = [line[2:]]
        end = re.search(r"<<'?(\w+)'?", line)
        while lines and (command[-1].endswith("\\") or (end and command[-1] != end[1])):
            command.append(lines.pop(0).removeprefix("> "))
        printed = []
        while lines and not lines[0].startswith("$ "):
            printed.append(lines.pop(0))
        yield "\n".join(command), printed


def pattern(lines):
    parts = [r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in lines]
    return re.compile("".join(parts))


class Shell:
    def __init__(self, directory, prefix):
        library, package = place_of(prefix, "libforkserver.so"), place_of(prefix, "forkserver/__init__.py")
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith(("FORKSERVER_", "LD_", "PKG_CONFIG"))}
        environment = {**clean, "HOME": directory, "PATH": f"{prefix}/bin:{clean['PATH']}", "PYTHONPATH": package,
                       "LD_LIBRARY_PATH": library, "PKG_CONFIG_PATH": f"{library}/pkgconfig", "LC_ALL": "C.UTF-8",
                       "TMPDIR": directory, "XDG_RUNTIME_DIR": directory}
        reader, self.writer = os.pipe()
        self.process = subprocess.Popen(["bash", "-c", f"exec 9<&{reader} {reader}<&-\n{LOOP}"], cwd=directory,
                                        env=environment, pass_fds=[reader], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        os.close(reader)
        self.n = 0

    def type(self, command):
        """Returns what it prints."""
        self.n += 1
        path = os.path.join(os.environ["TMPDIR"], f"{self.n}.sh")
        with open(path, "w") as file:
            file.write(command + "\n")
        os.write(self.writer, (path + "\n").encode())
        printed, deadline = b"", time.monotonic() + LIMIT
        while not (end := re.search(rb"\n\x01(\d+)\n$", printed)):
            piece = read_until(self.process.stdout.fileno(), deadline)
            if not piece:
                raise Wrong(f"$ {command}\nhas not ended; it has printed:\n{printed[-1000:].decode()}")
            printed += piece
        return printed[:end.start()].decode("utf-8", "replace")

    def close(self):
        """Ends what the page has left running, in the session that is the shell's."""
        os.close(self.writer)
        self.process.stdout.close()
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.getsid(int(entry)) == self.process.pid:
                    os.kill(int(entry), signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(60)


def read_until(fd, deadline):
    ready, _, _ = select.select([fd], [], [], max(0, deadline - time.monotonic()))
    return os.read(fd, 65536) if ready and time.monotonic() < deadline else b""


def place_of(prefix, name):
    """The directory of the installation's libraries in which this file is."""
    found = glob.glob(os.path.join(prefix, "lib", "**", name), recursive=True)
    if not found:
        sys.exit(f"pages: {prefix} has no {name}")
    return found[0].removesuffix(f"/{name}")


def check_command(shell, command, expected):
    printed = shell.type(command)
    printed += "" if printed.endswith("\n") or not printed else "\n"
    if not pattern(expected).fullmatch(printed):
        raise Wrong(f"$ {command}\nprints:\n{printed}\nand not:\n" + "\n".join(expected))


def check_block(shell, directory, language, before, block):
    """Returns how many commands were typed."""
    named = FILE.search(before)
    n = 0
    if language == "console":
        for command, printed in commands(block):
            check_command(shell, command, printed)
            n += 1
    elif named and language not in ("sh", *NO_LANGUAGE):
        path = os.path.join(directory, named[1])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(block)
    elif language not in NO_LANGUAGE and not re.search(r"<!-- not run: .+ -->$", before):
        raise Wrong(f"a block that is not run, and why? {block}")
    return n


def check_page(prefix, page):
    """Returns how many commands were typed."""
    with open(page, encoding="utf-8") as file:
        text = file.read()
    with tempfile.TemporaryDirectory(prefix="forkserver-page-") as scratch:
        directory = os.path.join(scratch, "home")
        os.mkdir(directory)
        os.environ["TMPDIR"] = scratch
        shell = Shell(directory, prefix)
        try:
            return sum(check_block(shell, directory, *block) for block in blocks(text))
        finally:
            shell.close()


def main():
    prefix, *pages = sys.argv[1:]
    failed = False
    for page in pages:
        try:
            if n := check_page(os.path.abspath(prefix), page):
                print(f"pages: {page}: {n} commands print what it says")
        except Wrong as wrong:
            print(f"pages: {page}: {wrong}", file=sys.stderr)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
