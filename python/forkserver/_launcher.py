# SPDX-License-Identifier: MIT
"""python3 [option…] -m forkserver PROGRAM does what python3 [option…] PROGRAM does, with install() before.

The steps are those of CPython's Modules/main.c, and the interpreter's own functions run the program. Two things
differ for the program from a start without us: there are frames below its own in the stack, as with any module that
is run by -m, and our modules are in sys.modules."""

import os
import sys

# Before sys.path is the program's: a file of the same name may be there.
import marshal
import runpy

import _frozen_importlib
import _frozen_importlib_external

import forkserver

from ._interpreter import attempt, importer, source_file, source_string, standard_input

USAGE = """usage: python3 [option…] -m forkserver SCRIPT [ARG…]      (or a directory or zip file with a __main__.py)
       python3 [option…] -m forkserver -m MODULE [ARG…]
       python3 [option…] -m forkserver -c CODE [ARG…]
       python3 [option…] -m forkserver - [ARG…]           (the program is on standard input)

Runs the program as python3 would, with Forkserver behind multiprocessing and as its default start method."""


def main(ours):
    """Runs the program. `ours`: the namespace in which __main__.py runs."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if words else sys.stderr)
        sys.exit(0 if words else 2)
    run, argv, *what = _parse(words)
    _forget_directory()  # what install() imports is not looked for there
    try:
        forkserver.install()
    except RuntimeError as error:
        sys.exit(f"python3 -m forkserver: {error}")
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = _without_us(sys.orig_argv, words)
    sys.argv[:] = argv
    main_before = _take_main(ours)
    code = run(*what)
    del main_before  # it was to live as long as the program
    if code:
        _end(code)


def _parse(words):
    """Returns (what runs the program, sys.argv, its arguments…)."""
    if words[0] == "--":
        words = words[1:] or ["-"]
    elif words[0].startswith(("-m", "-c")):
        option, name, rest = words[0][:2], words[0][2:], words[1:]
        if not name and rest:
            name, *rest = rest
        elif not name:
            _refuse(f"argument expected for the {option} option")
        return (_run_module if option == "-m" else _run_code), [option, *rest], name
    elif words[0].startswith("-") and words[0] != "-":
        _refuse(f"unknown option {words[0]}; options of the interpreter go before -m")
    return (_run_input, words) if words[0] == "-" else (_run_path, words, words[0])


def _refuse(sentence):
    print(f"python3 -m forkserver: {sentence}\n{USAGE}", file=sys.stderr)
    sys.exit(2)


def _without_us(command, words):
    """Returns the command line without "-m forkserver". That may be one word, and other options may come before the
    m."""
    before = command[:-len(words)]
    last = before.pop()
    if last == "forkserver" and before:
        last = before.pop() + last
    if not last.startswith("-") or not last.endswith("mforkserver"):
        return command  # something else has started us
    options = last[:-len("mforkserver")]
    return [*before, *([options] if options != "-" else []), *words]


# ---- the surroundings ----


def _is_safe():
    return sys.flags.isolated or getattr(sys.flags, "safe_path", False)


def _directory():
    try:
        return os.getcwd()
    except OSError:
        return None  # it is gone


def _forget_directory():
    """Removes what -m put into sys.path for us."""
    if not _is_safe() and sys.path and sys.path[0] in ("", _directory()):
        del sys.path[0]


def _search_first(path):
    if path is not None and not _is_safe():
        sys.path.insert(0, path)


def _take_main(ours):
    """Returns the module __main__ as the interpreter makes it. It stays the same module, since other code may have
    it, as __mp_main__ or otherwise. If code that has __main__ as its own module runs us, there is a new one -> the
    one before."""
    before = sys.modules["__main__"]
    kept = {name: ours[name] for name in ("__annotations__", "__builtins__") if name in ours}
    if sys.version_info < (3, 14):
        kept = {"__annotations__": {}, **kept}
    if before.__dict__ is ours:
        ours.clear()
    else:
        sys.modules["__main__"] = type(sys)("__main__")
    sys.modules["__main__"].__dict__.update(
        __name__="__main__", __doc__=None, __package__=None, __loader__=_frozen_importlib.BuiltinImporter,
        __spec__=None, **kept
    )
    return before


def _is_interactive():
    try:
        return bool(sys.flags.interactive) or os.isatty(0)
    except OSError:
        return False


def _end(code):
    if sys.flags.inspect:
        if _is_interactive():
            return  # the interpreter goes on with a prompt, and its exit code is that one's
        sys.excepthook = lambda *_: None  # it would print SystemExit
    sys.exit(code)


# ---- the programs: each returns the exit code, where no SystemExit tells it ----


def _run_module(name):
    sys.audit("cpython.run_module", name)
    _search_first(_directory())
    return attempt(runpy._run_module_as_main, name, True)


def _run_code(code):
    sys.audit("cpython.run_command", code)
    _search_first("")
    if any("\ud800" <= letter <= "\udfff" for letter in code):
        print("Unable to decode the command from the command line:", file=sys.stderr)
        return attempt(code.encode)
    code += "\n"
    if sys.version_info >= (3, 14):
        import textwrap

        code = textwrap.dedent(code)

    def show_source(compiled):
        """Makes tracebacks show the source."""
        if sys.version_info >= (3, 13):
            import linecache

            # 3.13.0 finds it by the name
            linecache._register_code(compiled if hasattr(linecache, "_code_key") else "<string>", code, "<string>")

    ignore_cookie = sys.version_info >= (3, 10)
    return attempt(source_string, code.encode(), ignore_cookie, show_source, sys.modules["__main__"].__dict__)


def _run_input():
    _search_first("")
    if _is_interactive():
        if not sys.flags.quiet:
            print(f"Python {sys.version} on {sys.platform}", file=sys.stderr)
            print('Type "help", "copyright", "credits" or "license" for more information.', file=sys.stderr)
        _run_startup()
        if sys.flags.inspect:
            return 0  # the interpreter goes on with a prompt
        hook = getattr(sys, "__interactivehook__", None)
        if hook is not None and attempt(hook):
            print("Failed calling sys.__interactivehook__", file=sys.stderr)
        if sys.version_info >= (3, 13) and (sys.flags.ignore_environment or not os.environ.get("PYTHON_BASIC_REPL")):
            return attempt(runpy._run_module_as_main, "_pyrepl", False)
    sys.audit("cpython.run_stdin")
    return standard_input()


def _run_startup():
    path = "" if sys.flags.ignore_environment else os.environ.get("PYTHONSTARTUP", "")
    if path:
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError as error:
            print(f"Could not open PYTHONSTARTUP\n{type(error).__name__}: {error}", file=sys.stderr)
        else:
            sys.audit("cpython.run_startup", path)
            _run_file(fd, path)


def _run_path(path):
    path = os.path.join(_directory() or "", path)
    if importer(path) is not None:
        sys.path.insert(0, path)
        return attempt(runpy._run_module_as_main, "__main__", False)
    _search_first(_directory_of(sys.argv[0]))
    sys.audit("cpython.run_file", path)
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError as error:
        name = repr(path) if sys.version_info >= (3, 10) else f"'{path}'"
        print(f"{_program()}: can't open file {name}: [Errno {error.errno}] {error.strerror}", file=sys.stderr)
        return 2
    return _run_file(fd, path)


def _directory_of(path):
    """The script's own directory, through symbolic links."""
    try:
        real = os.path.realpath(path)
        return os.path.dirname(real if os.path.exists(real) else path)  # a pipe's /dev/fd/3 leads to none
    except OSError:
        return os.path.dirname(path)  # the working directory is gone


def _program():
    """The program's name, as it was called."""
    with open("/proc/self/cmdline", "rb") as file:
        return os.fsdecode(file.read().split(b"\0")[0])


def _run_file(fd, path):
    namespace = sys.modules["__main__"].__dict__
    kind, run, what = "SourceFileLoader", source_file, (fd, os.fsencode(path))
    if _is_byte_code(fd, path):
        kind, run, what = "SourcelessFileLoader", exec, (_read_byte_code(fd),)
        if what[0] is None:
            return 1
    namespace.update(__file__=path, __cached__=None)
    namespace["__loader__"] = getattr(_frozen_importlib_external, kind)("__main__", path)
    code = attempt(run, *what, namespace)
    for name in ("__file__", "__cached__"):
        namespace.pop(name, None)
    return code


def _is_byte_code(fd, path):
    try:
        return path.endswith(".pyc") or os.pread(fd, 2, 0) == _frozen_importlib_external.MAGIC_NUMBER[:2]
    except OSError:
        return False  # a pipe


def _read_byte_code(fd):
    with open(fd, "rb") as file:
        data = file.read()
    if data[:4] == _frozen_importlib_external.MAGIC_NUMBER:
        return marshal.loads(data[16:])
    print("RuntimeError: Bad magic number in .pyc file", file=sys.stderr)
    return None
