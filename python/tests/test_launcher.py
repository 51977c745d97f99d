# SPDX-License-Identifier: MIT
"""`python3 -m forkserver PROGRAM` and FORKSERVER_INSTALL=1: whatever a program prints, about itself too, is what it
prints under python3. Each program is run in all three ways at the same time, in a virtual environment with the package
and its .pth file."""

import compileall
import os
import pty
import py_compile
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import unittest
import zipapp

import forkserver

LIMIT = 60 * int(os.environ.get("FORKSERVER_TEST_PATIENCE", "1"))

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs us in the background may have us ignore it

# What a program can find out about its start.
SELF = """
import atexit, sys
def tell(**found):
    for name in found: print(name, "=", found[name])
tell(namespace=list(globals()), name=__name__, loader=__loader__, spec=__spec__, package=__package__, doc=__doc__,
     file=globals().get("__file__"), cached=globals().get("__cached__"), builtins=__builtins__,
     annotations=globals().get("__annotations__"))
tell(path=sys.path, argv=sys.argv, original=getattr(sys, "orig_argv", None), flags=sys.flags, options=sys._xoptions,
     warnings=sys.warnoptions, hook=sys.excepthook, last=hasattr(sys, "last_value"), error=sys.exc_info())
atexit.register(lambda: tell(at_exit=list(globals()), main=sys.modules["__main__"].__dict__ is globals()))
import multiprocessing
tell(main=sys.modules["__mp_main__"].__dict__ is globals(), finders=sys.meta_path,
     loader=multiprocessing.__loader__, spec=multiprocessing.__spec__, methods=multiprocessing.get_all_start_methods())
"""

# Objects of the program's own classes, from its processes.
OWN = """
import multiprocessing
class Result:
    def __init__(self, x): self.x = x
    def __repr__(self): return f"{type(self).__module__}.Result({self.x})"
class Error(Exception): pass
def work(x):
    if x == 2: raise Error("two")
    return Result(x)
def put(queue): queue.put(Result(5))
def run():
    context = multiprocessing.get_context("forkserver")
    queue = context.SimpleQueue()
    process = context.Process(target=put, args=(queue,))
    process.start(); print(queue.get()); process.join(); print(process.exitcode)
    with context.Pool(1) as pool:
        try: pool.map(work, range(4))
        except Error as error: print(type(error), error)
        print(pool.apply(work, (7,)))
if __name__ == "__main__": run()
"""

EXITS = ("None", "0", "3", "-1", "256", "'text'", "2.5", "(1, 2)", "True", "()", "[]", "{}")


directory = tempfile.TemporaryDirectory(prefix="forkserver-launcher-")
venv = os.path.join(directory.name, "venv")
python = os.path.join(venv, "bin", "python3")
site = os.path.join(venv, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")


def setUpModule():
    unittest.addModuleCleanup(directory.cleanup)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    package = os.path.dirname(forkserver.__file__)
    shutil.copytree(package, os.path.join(site, "forkserver"))
    shutil.copy(package + ".pth", site)
    compileall.compile_dir(os.path.join(site, "forkserver"), quiet=1)


class Same(unittest.TestCase):
    def setUp(self):
        self.work = tempfile.mkdtemp(dir=directory.name)

    def write(self, name, text):
        path = os.path.join(self.work, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb" if isinstance(text, bytes) else "w") as file:
            file.write(text if isinstance(text, bytes) else textwrap.dedent(text))
        return path

    def environment(self, changes):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FORKSERVER_"))}
        return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **changes}

    def start(self, options, words, input, env, together, **how):
        process = subprocess.Popen(
            [python, *options, *words], stdout=subprocess.PIPE, env=self.environment(env),
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stderr=subprocess.STDOUT if together else subprocess.PIPE, **{"cwd": self.work, **how}
        )
        if input is not None:
            process.stdin.write(input.encode())
            process.stdin.close()
            process.stdin = None
        return process

    def end(self, process):
        try:
            output = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            output = process.communicate()
        texts = (re.sub("0x[0-9a-f]{6,}", "0x", (text or b"").decode(errors="backslashreplace")) for text in output)
        return (*texts, process.returncode)

    def same(self, *words, options=(), input=None, env={}, together=False, code=None, **how):
        """-> standard output and standard error"""
        with self.subTest(words, options=options, env=env):
            rest = (input, env, together)
            sides = (self.start(options, words, *rest, **how),
                     self.start(options, ("-m", "forkserver", *words), *rest, **how),
                     self.start(options, words, input, {**env, "FORKSERVER_INSTALL": "1"}, together, **how))
            stock, launched, installed = map(self.end, sides)
            self.maxDiff = None
            self.assertEqual("%s\n--- %s\n--- %s" % launched, "%s\n--- %s\n--- %s" % stock)
            self.assertEqual("%s\n--- %s\n--- %s" % installed, "%s\n--- %s\n--- %s" % stock)
            if code is not None:
                self.assertEqual(stock[2], code, stock)
            return stock[0] + stock[1]
        return ""


class Forms(Same):
    def test_a_script(self):
        path = self.write("below/script.py", '"""A text."""\n' + SELF)
        os.symlink("below/script.py", os.path.join(self.work, "link"))
        os.symlink(self.work, os.path.join(self.work, "below", "up"))
        for name in (path, "below/script.py", "./below/script.py", "below/../below//script.py", "link",
                     "below/up/link"):
            self.assertIn("argv = ['%s', 'a', '-b']" % name, self.same(name, "a", "-b", code=0))
        self.same("--", "below/script.py", "--", "-m")
        self.same("script.py", "-c", cwd=os.path.join(self.work, "below"))

    def test_a_script_of_an_unusual_name(self):
        for name in ("__main__.py", "no suffix", "-m", "-", "x.txt", "ü.py"):
            self.write(name, SELF)
        self.same("__main__.py")
        self.same("no suffix", "x")
        self.same("--", "-m")
        self.same("./-")
        self.same("x.txt")
        self.same("ü.py")
        directory = os.path.join(os.fsencode(self.work), b"\xff\xfe")
        os.mkdir(directory)
        shutil.copy(os.path.join(self.work, "x.txt"), os.path.join(directory, b"s\xff.py"))
        self.same(os.path.join(directory, b"s\xff.py"), env={"PYTHONIOENCODING": "utf-8:surrogateescape"})

    def test_a_script_from_a_pipe(self):
        def name_of(text):
            reader, writer = os.pipe()
            os.write(writer, text.encode())
            os.close(writer)
            self.addCleanup(os.close, reader)
            return reader

        # each side reads one of its own
        results = []
        for words, env in (((), {}), (("-m", "forkserver"), {}), ((), {"FORKSERVER_INSTALL": "1"})):
            fd = name_of(SELF)
            process = self.start((), (*words, f"/dev/fd/{fd}"), None, env, False, pass_fds=[fd])
            results.append([re.sub("/dev/fd/[0-9]+", "/dev/fd/N", str(part)) for part in self.end(process)])
        self.assertEqual(results[0], results[1])
        self.assertEqual(results[0], results[2])
        self.assertEqual(results[0][2], "0")

    def test_a_directory_and_a_zip_file(self):
        self.write("app/helper.py", "print('the helper', __name__)\n")
        self.write("app/__main__.py", SELF + "import helper\n")
        app = os.path.join(self.work, "app")
        zipapp.create_archive(app, app + ".pyz")
        zipapp.create_archive(app, app + ".zip", interpreter="/usr/bin/env python3")
        for name in ("app", "app/", "./app", app, "app.pyz", "app.zip", app + ".pyz"):
            self.assertIn("the helper", self.same(name, "a", code=0))
        self.same("app", options=["-I"])
        self.same("app.pyz", "x", options=["-E", "-s"])
        os.mkdir(os.path.join(self.work, "empty"))
        self.same("empty", code=1)
        self.write("app/__main__.py", "1/0")
        self.same("app", code=1)

    def test_a_module(self):
        self.write("mod.py", SELF)
        self.write("package/__init__.py", """
            import sys
            print(__name__, sys.argv, list(sys.modules["__main__"].__dict__))
        """)
        self.write("package/__main__.py", SELF)
        self.write("package/part.py", SELF)
        self.write("space/part.py", SELF)
        self.write("space/__main__.py", SELF)
        for name in ("mod", "package", "package.part", "package.__main__", "space", "space.part"):
            self.same("-m", name, "a", "-m", code=0)
            self.same("-m" + name, "a", code=0)
        self.same("-m", "mod", options=["-I"], code=1)

    def test_code(self):
        self.same("-c", SELF, "a", "-c", code=0)
        self.same("-c" + SELF, "a", code=0)
        self.same("-c", "", "a")  # as every shell script with an empty variable
        self.same("-c", "# coding: nonsense\nprint('ü')")
        self.same("-c", "from __future__ import annotations\ndef f(x: nothing): pass\nprint(f.__annotations__)")
        self.same("-c", "def f(x: print): pass\nprint(f.__annotations__)")
        self.same("-c", b"print('\xff')", code=1)

    def test_standard_input(self):
        self.same("-", "a", "-b", input=SELF, code=0)
        self.same("--", "-", input=SELF, code=0)
        self.same("-", input="import sys\nprint([sys.stdin.read()])\nthis is no program", code=1)
        self.same("-", input="1/0", code=1)
        self.same("-", input="")

    def test_byte_code(self):
        path = self.write("source.py", SELF)
        py_compile.compile(path, os.path.join(self.work, "code.pyc"))
        shutil.copy(os.path.join(self.work, "code.pyc"), os.path.join(self.work, "code"))
        self.same("code.pyc", "a", code=0)
        self.same("code", "a", code=0)
        py_compile.compile(self.write("k.py", "raise KeyboardInterrupt"), os.path.join(self.work, "k.pyc"))
        self.same("k.pyc", code=-2)
        self.write("bad.pyc", b"1234567890123456")
        self.same("bad.pyc", code=1)

    def test_encodings(self):
        self.write("latin.py", b"# coding: latin-1\nprint(ascii('\xfc'))\n")
        self.write("mark.py", b"\xef\xbb\xbfprint(ascii('\xc3\xbc'))\n")
        self.write("lines.py", b"print(1)\r\nprint(2)\rprint(3)\n\x0cprint(4)")
        self.same("latin.py", code=0)
        self.same("mark.py", code=0)
        self.same("lines.py")
        self.write("undeclared.py", b"x = 1\n\n'\xfc'\n")
        self.write("unknown.py", "# coding: nonsense\n")
        self.write("null.py", b"print(1)\nprint(2)\0print(3)\n")
        for name in ("undeclared.py", "unknown.py"):
            self.same(name, code=1)
            self.same("-m", name[:-3], code=1)
        self.same("null.py")

    def test_options(self):
        self.write("script.py", SELF)
        for options in (["-I"], ["-E"], ["-Es"], ["-u", "-O", "-B"], ["-OO"], ["-X", "dev"],
                        ["-Wd", "-b", "-X", "utf8"],
                        *([["-P"], ["-PO"]] if sys.version_info >= (3, 11) else [])):
            self.same("script.py", "a", options=options, code=0)
        for options in (["-I"], ["-O"], *([["-P"]] if sys.version_info >= (3, 11) else [])):
            self.same("-c", SELF, options=options, code=0)
            self.same("-", options=options, input=SELF, code=0)
            self.same("-m", "script", options=options, code=0 if options == ["-O"] else 1)
        for env in ({"PYTHONSAFEPATH": "1"}, {"PYTHONPATH": self.work}, {"PYTHONPATH": "."}, {"PYTHONDEVMODE": "1"}):
            self.same("script.py", env=env)

    def test_forkserver_among_the_options(self):
        """However -m is written."""
        path = self.write("script.py", SELF)
        stock = self.end(self.start(["-B"], [path, "a"], None, {}, False))
        for words in (["-Bm", "forkserver"], ["-B", "-mforkserver"], ["-Bmforkserver"]):
            self.assertEqual(self.end(self.start(words, [path, "a"], None, {}, False)), stock)

    def test_without_site(self):
        """-S: the package is where PYTHONPATH says."""
        self.write("script.py", SELF)
        for words in (["script.py"], ["-m", "script"], ["-c", SELF]):
            self.same(*words, options=["-S"], env={"PYTHONPATH": site}, code=0)

    def test_a_directory_that_is_gone(self):
        self.write("script.py", SELF)
        gone = os.path.join(self.work, "gone")
        for words in ([os.path.join(self.work, "script.py")], ["-c", "import sys; print(sys.path)"],
                      ["-m", "timeit", "-h"], ["nothing.py"]):
            sides = []
            for way in ([], ["-m", "forkserver"]):
                command = f'mkdir "{gone}"; cd "{gone}"; rmdir "{gone}"; exec "$@"'
                result = subprocess.run(["sh", "-c", command, "sh", python, *way, *words], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=self.environment({}), timeout=LIMIT)
                sides.append((re.sub(b"0x[0-9a-f]+", b"", result.stdout), result.stderr, result.returncode))
            self.assertEqual(*sides)


class Ends(Same):
    FORMS = ("script.py",), ("-m", "script"), ("-c",), ("-",), ("app",)

    def every_form(self, text, forms=FORMS, **options):
        text = textwrap.dedent(text)
        self.write("script.py", text)
        self.write("app/__main__.py", text)
        return [self.same(*form, *([text] if form == ("-c",) else []), **options,
                          input=text if form == ("-",) else None) for form in forms]

    def test_exceptions(self):
        self.every_form("""
            import atexit, sys
            atexit.register(lambda: print("at exit", list(globals())[:9], sys.last_value))
            def f(): raise ValueError("of f")
            def g():
                try: f()
                except ValueError as error: raise KeyError("of g") from error
            print("before", end="")
            g()
        """, code=1)
        self.every_form("print('before'); 1/0", together=True, code=1)

    def test_keyboard_interrupt(self):
        self.every_form("""
            import atexit
            atexit.register(print, "at exit")
            raise KeyboardInterrupt("text")
        """, code=-2)
        self.every_form("""
            import os, signal, sys
            sys.excepthook = lambda *error: print("hook", error[0])
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()
        """, code=-2)
        self.every_form("class Mine(KeyboardInterrupt): pass\nraise Mine", forms=Ends.FORMS[:3])

    def test_syntax_errors(self):
        self.every_form("print('never')\nx = = 1\n", code=1)
        self.every_form("if True:\nprint('never')\n", code=1)
        self.every_form("print('never'\n", code=1)
        self.every_form("print('warned', 1 is 1)\n", code=0)
        self.every_form("print('never', 1 is 1)\n", options=["-W", "error"], code=1)

    def test_what_does_not_exist(self):
        for words in (["nothing.py"], ["./nothing.py"], ["below/nothing.py", "a"], ["/nonexistent/x.py"], ["it's.py"],
                      ["-m", "nothing"], ["-m", "nothing.below"], ["-m", "json.nothing"], ["-m", "json"], ["-m", "sys"],
                      ["-m", ".x"], ["-m", ""], ["-m", "script.py"]):
            self.write("script.py", "")
            self.same(*words)

    def test_system_exit(self):
        for value in EXITS:
            self.write("script.py", f"""
                import atexit
                atexit.register(print, list(globals()))
                raise SystemExit({value})
            """)
            self.same("script.py")
        self.every_form("import sys; print('x', end=''); sys.exit('text')", code=1, together=True)
        self.every_form("raise SystemExit(1, 2)", code=1)
        self.every_form("import os; print('x', flush=True); os._exit(5)", code=5)
        self.every_form("raise SystemExit", options=["-X", "dev"], code=0)

    def test_excepthook(self):
        self.every_form("""
            import sys, traceback
            def hook(kind, value, where):
                names = [frame.name for frame in traceback.extract_tb(where)]
                print("hook", kind, value, names, sys.last_value is value)
            sys.excepthook = hook
            1/0
        """, code=1)
        self.every_form("import sys\ndef hook(*_): raise ValueError('of the hook')\nsys.excepthook = hook\n1/0", code=1)
        self.every_form("import sys\nsys.excepthook = lambda *_: sys.exit(7)\n1/0", forms=Ends.FORMS[:3], code=7)
        self.every_form("import sys\ndel sys.excepthook\n1/0", code=1)
        self.every_form("import sys\nsys.stderr = None\n1/0", code=1)

    def test_inspect(self):
        self.write("script.py", "import sys; x = 5; print(sys.argv); 1/0")
        self.write("exit.py", "x = 5; raise SystemExit(3)")
        asks = "print(x, __name__, sys.last_value)\nimport pdb\nsys.exit(4)\n"
        code = "x = 5; import sys"
        for words in (["script.py", "a"], ["-m", "script"], ["-c", code], ["-c", code + "; 1/0"]):
            self.same(*words, options=["-i"], input=asks)
        self.same("exit.py", options=["-i"], input="x\n")
        self.same("-", options=["-i"], input="1 + 1\n1/0\nraise SystemExit(3)\n", code=3)
        self.same("-", options=["-iq"], input="import sys; sys.argv\n", code=0)
        for words in (["script.py"], ["-m", "script"], ["exit.py"], ["-c", "print(1)"]):
            self.same(*words, env={"PYTHONINSPECT": "1"})
        self.write("start.py", "print('started', __name__)")
        self.same("-", options=["-i"], input="__name__\n", env={"PYTHONSTARTUP": os.path.join(self.work, "start.py")})

    def test_the_end_of_output(self):
        self.every_form("import os, sys\nos.close(1)\nprint('x')", forms=Ends.FORMS[:2])
        self.write("script.py", "print('x')")
        self.same("script.py", preexec_fn=lambda: os.close(2))
        self.same("-c", "import sys; print(sys.stdin)", preexec_fn=lambda: os.close(0))


class Programs(Same):
    def test_objects_of_own_classes(self):
        self.write("script.py", OWN)
        self.write("package/__init__.py", "")
        self.write("package/part.py", OWN)
        self.write("start.py", "import runpy; runpy.run_path('script.py', run_name='__main__')")
        self.write("app/__main__.py", "import script; script.run()")
        shutil.copy(os.path.join(self.work, "script.py"), os.path.join(self.work, "app", "script.py"))
        for words in (["script.py"], ["-m", "script"], ["-m", "package.part"], ["app"], ["start.py"]):
            self.assertIn("Result(7)", self.same(*words, code=0))

    def test_install_before_another_program(self):
        """A launcher of somebody's own."""
        self.write("script.py", OWN)
        self.write("start.py", """
            import runpy, sys
            if "stock" not in sys.argv:
                import forkserver
                forkserver.install()
            runpy.run_path("script.py", run_name="__main__")
        """)
        stock = self.end(self.start((), ("start.py", "stock"), None, {}, False))
        self.assertIn("Result(7)", stock[0])
        self.assertEqual(self.end(self.start((), ("start.py",), None, {}, False)), stock)

    def test_a_thread_outlives_the_main_code(self):
        self.write("module.py", """
            import multiprocessing, threading
            def child(): print("child", flush=True)
            def later():
                threading.main_thread().join()
                process = multiprocessing.get_context("forkserver").Process(target=child)
                process.start(); process.join(); print(process.exitcode)
            if __name__ == "__main__": threading.Thread(target=later).start()
        """)
        if sys.version_info < (3, 12):  # then no process can be started there
            self.assertIn("child\n0\n", self.same("-m", "module", code=0))

    def test_program_that_starts_programs_too(self):
        self.write("script.py", """
            import sys
            def f(): return sys.argv
            if __name__ == "__main__": print(f(), __file__)
        """)
        self.write("test_it.py", "import unittest\nclass T(unittest.TestCase):\n    def test(self): pass\n")
        self.same("-m", "pdb", "script.py", "a", input="n\nn\np __name__\nc\nq\n")
        self.assertIn("script.py", self.same("-m", "trace", "--count", "--missing", "-C", self.work, "script.py", "x"))
        self.same("-m", "trace", "--listfuncs", "script.py")
        self.same("-m", "runpy", "script", "x")
        self.same("-m", "json.tool", input='{"a": 1}')
        self.same("-m", "compileall", "-q", "script.py")
        self.same("-c", "import runpy; runpy.run_module('script', run_name='__main__', alter_sys=True)", "y")
        for words in (["-m", "cProfile", "script.py"], ["-m", "unittest", "test_it"]):
            sides = [self.end(self.start((), (*way, *words), None, {}, True)) for way in ((), ("-m", "forkserver"))]
            self.assertEqual(*[[re.sub(r"[0-9]+\.[0-9]+", "", side[0]), side[2]] for side in sides])

    def test_program_that_starts_the_launcher(self):
        """Its own __main__ stays whole, and SystemExit comes back to it."""
        self.write("script.py", "import sys; print(__name__, sys.argv, sys.path[0], list(globals())); sys.exit(3)")
        self.write("start.py", """
            import runpy, sys
            name = sys.argv[1]
            for alter in False, True:
                sys.argv[:] = ["start.py", "script.py", "a"]
                try: runpy.run_module("forkserver", run_name="__main__", alter_sys=alter)
                except SystemExit as end: print("ended with", end.code, name)
        """)
        stock = self.end(self.start((), ("script.py", "a"), None, {}, False))
        output, errors, code = self.end(self.start((), ("start.py", "start"), None, {}, False))
        self.assertEqual((output, errors, code), (2 * (stock[0] + "ended with 3 start\n"), "", 0))
        profile = self.end(self.start((), ("-m", "cProfile", "-m", "forkserver", "script.py", "a"), None, {}, False))
        self.assertIn("function calls", profile[0])

    def test_a_terminal(self):
        def talk(*words):
            pid, fd = pty.fork()
            if pid == 0:
                try:
                    os.chdir(self.work)
                    os.execve(python, [python, *words], self.environment({"TERM": "dumb", "PYTHON_COLORS": "0"}))
                finally:
                    os._exit(9)
            heard, said = b"", [b"__name__, __import__('sys').argv\n", b"1/0\n", b"exit(3)\n"]
            while True:
                try:
                    heard += os.read(fd, 4096)
                except OSError:  # nobody is there any more
                    break
                if heard.endswith(b">>> ") and said:
                    os.write(fd, said.pop(0))
            os.close(fd)
            return heard, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        self.write("script.py", "x = 5")
        self.assertEqual(talk("-"), talk("-m", "forkserver", "-"))
        self.assertEqual(talk("-q", "-")[1], talk("-q", "-m", "forkserver", "-")[1])
        self.assertEqual(talk("-i", "script.py"), talk("-i", "-m", "forkserver", "script.py"))


class Install(Same):
    """When and how install() takes effect."""

    def run_installed(self, text, *words, code=0, env={}):
        path = self.write("script.py", text)
        env = {"FORKSERVER_INSTALL": "1", **env}
        output, errors, result = self.end(self.start((), (*words, path), None, env, False))
        self.assertEqual(result, code, output + errors)
        self.errors = errors
        return output

    def test_imports_are_late(self):
        text = """
            import sys
            print([name for name in sys.modules if name.startswith(("multiprocessing", "forkserver."))])
            import forkserver
            print(forkserver.installed(), forkserver.stats())
            import multiprocessing
            print(multiprocessing.get_start_method(), forkserver.installed(), sys.meta_path)
        """
        lines = self.run_installed(text).splitlines()
        self.assertEqual(lines[:2], ["[]", "True {'served': 0, 'inherited': False}"])
        self.assertEqual(lines[2].split(" ", 2)[:2], ["forkserver", "True"])
        self.assertNotIn("orkserver", lines[2].split(" ", 2)[2])

    def test_a_method_of_the_programs_own(self):
        for text in ("m.set_start_method('spawn'); print(m.get_start_method())",
                     "print(m.get_context('spawn').get_start_method(), m.get_all_start_methods())",
                     "from multiprocessing import context; print(context._default_context.__class__)",
                     "print(m.get_start_method(allow_none=True))"):
            self.same("-c", "import multiprocessing as m; " + text, code=0)

    def test_first_imported_otherwise(self):
        for text in ("from multiprocessing import forkserver as f; print(type(f._forkserver).__module__)",
                     "from multiprocessing.context import Process; import multiprocessing.forkserver as f; "
                     "print(type(f._forkserver).__module__)",
                     "import concurrent.futures.process, multiprocessing.forkserver as f; "
                     "print(type(f._forkserver).__module__)"):
            self.assertEqual(self.run_installed(text), "forkserver._server\n")

    def test_install_after_multiprocessing_was_imported(self):
        self.assertEqual(self.run_installed("""
            import multiprocessing, multiprocessing.forkserver as stock, sys
            multiprocessing.set_forkserver_preload(["json"])
            import forkserver
            forkserver.install()
            print(multiprocessing.get_start_method(), stock._forkserver._preload_modules, forkserver.installed())
            forkserver.uninstall()
            print(type(stock._forkserver).__module__, forkserver.installed())
        """, env={"FORKSERVER_INSTALL": "0"}), "forkserver ['json'] True\nmultiprocessing.forkserver False\n")

    def test_uninstall_before_multiprocessing_is_imported(self):
        self.assertEqual(self.run_installed("""
            import sys, forkserver
            before = list(sys.meta_path)
            forkserver.uninstall()
            print(len(before) - len(sys.meta_path), forkserver.installed())
            import multiprocessing, multiprocessing.forkserver as stock
            print(type(stock._forkserver).__module__)
            forkserver.install(memory="off")
            print(type(stock._forkserver).__module__, multiprocessing.get_start_method())
        """), "1 False\nmultiprocessing.forkserver\nforkserver._server forkserver\n")

    def test_install_twice_before_multiprocessing_is_imported(self):
        for calls in ("memory='off'", "default=False", ""), ("default=False, memory='off'", ""):
            text = "".join(f"forkserver.install({call}); " for call in calls)
            self.assertEqual(self.run_installed(
                f"import forkserver; {text}import multiprocessing.forkserver as stock, multiprocessing as m; "
                "print(stock._forkserver._memory, m.get_start_method())", env={"FORKSERVER_INSTALL": ""}
            ), "3 forkserver\n")

    def test_while_threads_run(self):
        """They may be in the midst of an import: nothing of theirs is missed, no finder taken from under them."""
        self.assertEqual(self.run_installed("""
            import sys, threading
            end = threading.Event()
            thread = threading.Thread(target=end.wait)
            thread.start()
            before = list(sys.meta_path)
            import multiprocessing
            print(sys.meta_path == before, multiprocessing.get_start_method(), before[0].find_spec("multiprocessing"))
            end.set()
        """), "True forkserver None\n")
        self.assertEqual(self.run_installed("""
            import sys, threading, forkserver
            end = threading.Event()
            thread = threading.Thread(target=end.wait)
            thread.start()
            forkserver.install()
            print("multiprocessing" in sys.modules)
            end.set()
        """, env={"FORKSERVER_INSTALL": ""}), "True\n")

    def test_not_as_the_default(self):
        text = """
            import forkserver
            forkserver.install(default=False)
            import multiprocessing, multiprocessing.forkserver as stock
            print(multiprocessing.get_start_method() == multiprocessing.get_all_start_methods()[0],
                  type(stock._forkserver).__module__)
        """
        self.assertEqual(self.run_installed(text, env={"FORKSERVER_INSTALL": ""}), "True forkserver._server\n")

    def test_loaded_again(self):
        self.assertEqual(self.run_installed("""
            import importlib, sys, multiprocessing
            first = multiprocessing.context
            for name in "multiprocessing", "multiprocessing.process", "multiprocessing.forkserver":
                importlib.reload(importlib.import_module(name)) if name != "multiprocessing.forkserver" else None
            print(multiprocessing.context is first, multiprocessing.get_start_method(), multiprocessing.__loader__)
            assert multiprocessing.__spec__.loader is multiprocessing.__loader__
        """).split(" object")[0], "True forkserver <_frozen_importlib_external.SourceFileLoader")

    def test_from_a_zip_file(self):
        """Its loader has no exec_module() before 3.10."""
        import multiprocessing

        os.mkdir(os.path.join(self.work, "lib"))
        shutil.copytree(os.path.dirname(multiprocessing.__file__), os.path.join(self.work, "lib", "multiprocessing"),
                        ignore=shutil.ignore_patterns("__pycache__"))
        archive = shutil.make_archive(os.path.join(self.work, "lib"), "zip", os.path.join(self.work, "lib"))
        self.assertEqual(self.run_installed("""
            import multiprocessing, os
            if __name__ == "__main__":
                import forkserver
                print(".zip" in multiprocessing.__file__, type(multiprocessing.__loader__).__name__)
                process = multiprocessing.Process(target=os._exit, args=(7,))
                process.start(); process.join()
                print(process.exitcode, forkserver.stats()["served"])
        """, env={"PYTHONPATH": archive}), "True zipimporter\n7 1\n")

    def test_a_module_of_the_programs_own_of_this_name(self):
        self.write("multiprocessing.py", "print('my own', __name__)\n")
        self.write("script.py", "import multiprocessing, sys; print(sorted(vars(multiprocessing)))")
        self.same("script.py", code=0)
        self.write("multiprocessing.py", "1/0")
        self.assertIn("ZeroDivisionError", self.same("script.py", code=1))

    def test_files_beside_the_script(self):
        """That have names of modules which a launcher could want."""
        for name in ("runpy", "io", "os", "marshal", "types", "pkgutil", "importlib", "linecache", "_check", "codecs",
                     "_multiprocessing", "_launcher", "warnings", "zipimport", "textwrap", "forkserver"):
            self.write(f"beside/{name}.py", f"print({name!r}, 'was imported')\n")
        self.write("beside/script.py", SELF.partition("import multiprocessing")[0])
        self.same("beside/script.py", code=0)
        self.same("beside/script.py", options=["-X", "utf8"], code=0)

    def test_without_helpers(self):
        """A program that starts nothing is not concerned; a start raises. Nobody gets the stock server."""
        missing = {"FORKSERVER_HELPERS": "/nonexistent"}
        self.assertEqual(self.run_installed("import multiprocessing; print(5)", env=missing), "5\n")
        self.run_installed("""
            import multiprocessing
            if __name__ == "__main__": multiprocessing.Process(target=print).start()
        """, env=missing, code=1)
        self.assertIn("/nonexistent", self.errors.splitlines()[-1])
        for words in (["-m", "forkserver"],):
            self.run_installed("print(5)", *words, env={**missing, "FORKSERVER_INSTALL": ""}, code=1)
            self.assertEqual(self.errors, "python3 -m forkserver: forkserver's helper program is missing: "
                                          "/nonexistent/forkserver-server\n")

    def test_a_part_that_cannot_be_loaded(self):
        self.assertEqual(self.run_installed("""
            import sys
            if __name__ == "__main__":
                sys.modules["forkserver._native"] = None  # its import fails
                import multiprocessing
                for _ in range(2):
                    try: multiprocessing.get_context("forkserver").Process(target=print).start()
                    except ImportError as error: print("_native" in str(error))
                del sys.modules["forkserver._native"]
                process = multiprocessing.Process(target=print, args=("served",))
                process.start(); process.join()
        """), "True\nTrue\nserved\n")

    def test_an_import_that_fails_at_first(self):
        self.assertEqual(self.run_installed("""
            import sys
            sys.modules["multiprocessing.reduction"] = None
            for _ in range(2):
                try: import multiprocessing
                except ImportError as error: print("reduction" in str(error))
            del sys.modules["multiprocessing.reduction"]
            import multiprocessing
            print(multiprocessing.get_start_method())
        """), "True\nTrue\nforkserver\n")

    def test_threads_that_import_at_the_same_time(self):
        """One waits for the package while it holds the lock of a module that the installation needs."""
        self.assertEqual(self.run_installed("""
            import importlib.util, sys, threading
            class Finder:
                def find_spec(self, name, path=None, target=None):
                    if name == "multiprocessing" and self in sys.meta_path:
                        sys.meta_path.remove(self)
                        spec = importlib.util.find_spec(name)
                        spec.loader.create_module = wait
                        return spec
            def wait(spec):
                other.start()
                while f"'{spec.name}'" not in repr(importlib._bootstrap._blocking_on.get(other.ident)): pass
            def load(): importlib.import_module("multiprocessing.connection"); done.append(1)
            if __name__ == "__main__":
                done, other = [], threading.Thread(target=load)
                sys.meta_path.insert(1, Finder())
                import multiprocessing
                other.join()
                process = multiprocessing.Process(target=print, args=("served",))
                process.start(); process.join()
                import forkserver
                print(done, forkserver.stats()["served"])
        """), "served\n[1] 1\n")

    def test_many_threads(self):
        self.assertEqual(self.run_installed("""
            import importlib, sys, threading
            # What these import: in 3.13.0 that can go wrong by itself.
            import collections.abc, logging, pickle, queue, socket, subprocess, tempfile
            # (not "context": of two threads that import that and the package, one fails without us, too)
            names = ["multiprocessing." + name for name in
                     ("connection", "pool", "spawn", "util", "queues", "managers", "popen_fork")]
            barrier, failed = threading.Barrier(len(names)), []
            def load(name):
                barrier.wait()
                try: importlib.import_module(name)
                except BaseException as error: failed.append((name, repr(error)))
            threads = [threading.Thread(target=load, args=(name,)) for name in names]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            import multiprocessing
            print(multiprocessing.get_start_method(), failed)
        """), "forkserver []\n")


if __name__ == "__main__":
    unittest.main()
