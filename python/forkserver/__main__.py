# SPDX-License-Identifier: MIT
"""python3 -m forkserver [-m MODULE | -c CODE | SCRIPT | -] ARG…: runs a program with the fork server as the default."""

import runpy
import sys

import forkserver

USAGE = """usage: python3 -m forkserver SCRIPT [ARG…]
       python3 -m forkserver -m MODULE [ARG…]
       python3 -m forkserver -c CODE [ARG…]
       python3 -m forkserver - [ARG…]         (the program is on standard input)

Runs the program as python3 would, with Forkserver behind multiprocessing and as its default start method."""


def main():
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    if words[0] in ("-m", "-c") and len(words) < 2:
        print(f"forkserver: {words[0]} needs an argument\n{USAGE}", file=sys.stderr)
        return 2
    if words[0].startswith("-") and words[0] not in ("-m", "-c", "-"):
        print(f"forkserver: unknown option {words[0]}; options of the interpreter go before -m\n{USAGE}",
              file=sys.stderr)
        return 2
    forkserver.install()
    if words[0] == "-m":
        _run_module(words[1], words[2:])
    elif words[0] == "-c":
        _run_code(words[1], ["-c", *words[2:]], "<string>")
    elif words[0] == "-":
        _run_code(sys.stdin.buffer.read(), words, "<stdin>")
    else:
        _run_script(words[0], words[1:])
    return 0


def _run_module(name, args):
    sys.argv[:] = [name, *args]
    sys.path[0] = ""
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _own_main():
    """The name __main__ for the program, as if we had never been there."""
    import types

    module = types.ModuleType("__main__")
    module.__builtins__ = __builtins__
    sys.modules["__main__"] = module
    return module


def _run_code(code, argv, name):
    sys.argv[:] = argv
    sys.path[0] = ""
    exec(compile(code, name, "exec"), _own_main().__dict__)


def _run_script(path, args):
    import io
    import os

    sys.argv[:] = [path, *args]
    sys.path[0] = os.path.dirname(os.path.realpath(path))
    module = _own_main()
    module.__file__ = path
    module.__cached__ = None
    try:
        with io.open_code(os.path.abspath(path)) as file:
            code = compile(file.read(), path, "exec")
    except OSError as error:
        sys.exit(f"python3 -m forkserver: can't open file '{path}': {error.strerror}")
    exec(code, module.__dict__)


if __name__ == "__main__":
    sys.exit(main())
