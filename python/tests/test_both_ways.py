# SPDX-License-Identifier: MIT
"""
Each program in both_ways/ on the stock fork server and under python3 -m forkserver: what it writes, its exit code, and
the processes and files that it leaves have to be the same.

usage: test_both_ways.py [PROGRAM…]             these alone
       test_both_ways.py --show PROGRAM…        what both wrote
       test_both_ways.py --docs                 writes the differences that are meant into doc/python.md

What a program's header may say, each in a line of its own:

  # run: WORD…              how it is run, instead of by its name; {text} is the program itself
  # options: WORD…          the interpreter's
  # environment: NAME=VALUE NAME    set, and removed
  # way: install            not under -m forkserver: it asks for it itself
  # input: TEXT             its standard input, with Python's escapes
  # closed: FD…             standard streams that it is started without
  # terminal:               its standard streams are a terminal
  # cwd: DIRECTORY
  # pack: ARCHIVE DIRECTORY a zip application of that directory
  # needs: MODULE…          else it is skipped
  # versions: VERSIONS      of the interpreter, as in the tables
  # unordered:              processes write at the same time: their lines are sorted
  # limit: SECONDS
  # file: PATH              what follows is another file

FORKSERVER_TEST_SAMPLE   N: one program in N, others for each version of the interpreter

Two tables stand beside the programs: differences.tsv has those that are meant (doc/python.md shows them), open.tsv the
programs that fail until something is mended; one of them that passes is an error.
"""

import ast
import concurrent.futures
import difflib
import multiprocessing
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipapp

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tests"))

import alone  # noqa: E402
import program  # noqa: E402
import test_forkserver  # noqa: E402

DIRECTORY = os.path.join(HERE, "both_ways")
DOCUMENT = os.path.join(os.path.dirname(os.path.dirname(HERE)), "doc", "python.md")
SECTION = re.compile(r"(<!-- differences -->\n).*?(<!-- end of differences -->)", re.S)
LIMIT = 20 * test_forkserver.PATIENCE
LINGER = 10 * test_forkserver.PATIENCE
DIRECTIVE = re.compile(r"^# (run|options|environment|way|input|closed|terminal|cwd|pack|needs|versions|unordered|"
                       r"limit): ?(.*)$", re.M)
SAMPLE = int(os.environ.get("FORKSERVER_TEST_SAMPLE", "1"))
NAMES = sorted(name[:-3] for name in os.listdir(DIRECTORY) if name.endswith(".py"))

# Programs that choose no method: where the stock server is not the default, it is made that, on multiprocessing's
# import, so that what imports it or doesn't stays as it is.
STOCK = """
import sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "multiprocessing.context":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                break
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            module._default_context = module.DefaultContext(module._concrete_contexts["forkserver"])
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""


def is_in(versions, version=sys.version_info[:2]):
    """Whether an interpreter is one of "all", "3.9", "3.9-3.12", "3.12-", or several of those with commas."""
    for word in versions.split(","):
        first, dash, last = word.strip().partition("-")
        low = (0, 0) if first in ("all", "") else tuple(map(int, first.split(".")))
        high = tuple(map(int, last.split("."))) if last else low if not dash and first != "all" else (99, 0)
        if low <= version <= high:
            return True
    return False


def read_table(name):
    """Rows as lists of cells; a line that begins with # is a comment."""
    with open(os.path.join(DIRECTORY, name), encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file if line.strip() and not line.startswith("#")]


class Source:
    """A program with what its header says."""

    def __init__(self, name):
        with open(os.path.join(DIRECTORY, f"{name}.py"), encoding="utf-8") as file:
            text = file.read()
        self.name = name
        self.said = dict(DIRECTIVE.findall(text))
        first, *others = re.split(r"^# file: (.*)\n", text, flags=re.M)
        self.text = first
        self.files = {f"{name}.py": first, **dict(zip(others[::2], others[1::2]))}

    def words(self):
        return [word.replace("{text}", self.text) for word in shlex.split(self.said.get("run", f"{self.name}.py"))]

    def input(self):
        if self.words()[0] == "-":
            return self.text
        return ast.literal_eval('"""' + self.said["input"] + '"""') if "input" in self.said else None

    def why_not(self):
        if not is_in(self.said.get("versions", "all")):
            return f"is about {self.said['versions']}"
        for module in self.said.get("needs", "").split():
            try:
                __import__(module)
            except ImportError:
                return f"{sys.executable} has no {module}"
        return None

    def environment(self, directory):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FORKSERVER"))}
        kept.update(TMPDIR=os.path.join(directory, "tmp"), PYTHONDONTWRITEBYTECODE="1")
        for word in self.said.get("environment", "").split():
            name, is_set, value = word.partition("=")
            kept.pop(name, None)
            if is_set:
                kept[name] = value
        return kept

    def write(self, directory):
        for path, text in self.files.items():
            path = os.path.join(directory, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        if "pack" in self.said:
            archive, packed = self.said["pack"].split()
            zipapp.create_archive(os.path.join(directory, packed), os.path.join(directory, archive))


# ---- one side of one program, in a process of the runner's that does nothing else meanwhile ----


def settle():
    """Every orphan is this process's, and /dev/shm where that can be had."""
    program.become_subreaper()
    try:
        alone.checked(alone.libc.unshare(alone.NEWNS))
        alone.mount(None, "/", None, alone.RECURSIVE | alone.PRIVATE)
        alone.cover("/dev/shm")
    except OSError:
        pass


def normal(text, directory, environment):
    """Without what is different at each start: directories, addresses, pids; and without the frames of what has started
    a child, which is another code on each side."""
    text = text.replace(os.path.join(directory, "work"), "WORK").replace(directory, "DIRECTORY")
    text = text.replace(environment, "VENV").replace("\r\n", "\n")
    text = re.sub(r"\b0x[0-9a-f]{6,}\b", "0x…", text)
    text = re.sub(r"\b(pid|parent|process)([ =:])\d+\b", r"\1\2…", text)
    text = re.sub(r"\b(pymp|of-\w+|listener)-[-\w]{8,}", r"\1-…", text)
    text = re.sub(r"/mp-\w{8}", "/mp-…", text)
    started_by = r"(?:multiprocessing/(?:context|forkserver|spawn|popen_\w+)|forkserver/_\w+)\.py"
    return re.sub(rf'^  File "(?:<string>", line 1\b|[^"]*/{started_by}").*\n(?:    .*\n)*', "", text, flags=re.M)


def left_in(directory):
    for path, directories, files in os.walk(directory):
        for name in directories + files:
            yield os.path.relpath(os.path.join(path, name), directory)


def command(source, interpreter, ours):
    words = [interpreter, *shlex.split(source.said.get("options", ""))]
    if ours and source.said.get("way") != "install":
        words += ["-m", "forkserver"]
    words += source.words()
    closed = source.said.get("closed", "").split()
    if closed:
        words = ["/bin/sh", "-c", 'exec "$0" "$@" ' + " ".join(f"{fd}>&-" for fd in closed), *words]
    return words


def on_terminal(words, limit, **options):
    """What it wrote to its terminal."""
    ours, its = pty.openpty()
    output = b""
    with subprocess.Popen(words, stdin=its, stdout=its, stderr=its, start_new_session=True, **options) as process:
        os.close(its)
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # nobody has it open any more
                break
            output += data
        process.wait(limit)
    os.close(ours)
    return process.returncode, output.decode(errors="backslashreplace"), ""


def on_pipes(words, limit, text, **options):
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, errors="backslashreplace",
                               start_new_session=True, **options)
    try:
        output, errors = process.communicate(text, timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        program.end_the_rest(0.5)
        output, errors = process.communicate()
        return f"none after {limit} s", output, errors
    return process.returncode, output, errors


def run(name, environment, ours):
    """The lines to compare: what it wrote, how it ended, what it left."""
    source = Source(name)
    interpreter = os.path.join(environment, "bin", "python3")
    limit = int(source.said.get("limit", "0")) * test_forkserver.PATIENCE or LIMIT
    shared = set(os.listdir("/dev/shm"))
    directory = tempfile.mkdtemp(prefix="both-ways-")
    try:
        work, scratch = os.path.join(directory, "work"), os.path.join(directory, "tmp")
        os.mkdir(scratch)
        source.write(work)
        options = {"env": source.environment(directory), "cwd": source.said.get("cwd", work)}
        words = command(source, interpreter, ours)
        if "terminal" in source.said:
            code, output, errors = on_terminal(words, limit, **options)
        else:
            code, output, errors = on_pipes(words, limit, source.input(), **options)
        processes = program.end_the_rest(LINGER)
        left = [*processes, *left_in(scratch), *sorted(set(os.listdir("/dev/shm")) - shared)]
        order = sorted if "unordered" in source.said else list

        def lines(mark, text):
            return [f"{mark}: {line}" for line in order(normal(text, directory, environment).splitlines())]

        return [*lines("out", output), *lines("err", errors), f"exit: {code}", *sorted(lines("left", "\n".join(left)))]
    finally:
        shutil.rmtree(directory, ignore_errors=True)


# ---- the tests ----


def make_environment(directory, package):
    """A virtual environment with the package installed, or with the stock server as the default."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", directory], check=True)
    site = os.path.join(directory, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
    if package is None:
        with open(os.path.join(site, "stock_default.py"), "w") as file:
            file.write(STOCK)
        with open(os.path.join(site, "stock_default.pth"), "w") as file:
            file.write("import stock_default\n")
        return
    shutil.copytree(package, os.path.join(site, "forkserver"))
    shutil.copy(os.path.join(os.path.dirname(package), "forkserver.pth"), site)


def difference(stock, ours):
    """(lines that only stock has, lines that only ours has); what ours doesn't leave is no loss."""
    less, more = [], []
    for word, a, b, c, d in difflib.SequenceMatcher(None, stock, ours, autojunk=False).get_opcodes():
        if word != "equal":
            less += [line for line in stock[a:b] if not line.startswith("left: ")]
            more += ours[c:d]
    return "\n".join(less), "\n".join(more)


def meant(name):
    """The differences that are meant, by the table: as difference() has them, with … for any text, or "?" where the
    stock server is not to be trusted, and all that Forkserver's side says. One that may be missing has none beside."""
    for program_name, versions, on_stock, on_ours, _ in read_table("differences.tsv"):
        if program_name == name and is_in(versions.rstrip("?")):
            listed = on_stock.replace("\\n", "\n"), on_ours.replace("\\n", "\n")
            return [listed, ("", "")] if versions.endswith("?") else [listed]
    return [("", "")]


def fits(text, pattern):
    return re.fullmatch(".*".join(map(re.escape, pattern.split("…"))), text, re.S)


class BothWays(unittest.TestCase):
    maxDiff = None
    chosen = NAMES[sys.version_info[1] % SAMPLE::SAMPLE]

    @classmethod
    def setUpClass(cls):
        import forkserver

        cls.directory = tempfile.TemporaryDirectory(prefix="forkserver-python-")
        cls.addClassCleanup(cls.directory.cleanup)
        package = os.path.dirname(os.path.abspath(forkserver.__file__))
        cls.environments = [os.path.join(cls.directory.name, way) for way in ("stock", "ours")]
        for environment, what in zip(cls.environments, (None, package)):
            make_environment(environment, what)
        cls.pool = concurrent.futures.ProcessPoolExecutor(4 * os.cpu_count(), multiprocessing.get_context("fork"),
                                                          settle)
        cls.addClassCleanup(cls.pool.shutdown)
        cls.results = {name: [cls.pool.submit(run, name, environment, ours)
                              for environment, ours in zip(cls.environments, (False, True))]
                       for name in cls.chosen if Source(name).why_not() is None}

    def check(self, name):
        why_not = Source(name).why_not()
        if why_not or name not in self.chosen:
            self.skipTest(why_not or "not of the sample")
        stock, ours = (future.result() for future in self.results[name])
        is_open = [fault for program_name, versions, fault in read_table("open.tsv")
                   if program_name == name and is_in(versions)]
        expected = meant(name)
        if expected[0][0] == "?":
            found = "?", "\n".join(ours)
        else:
            self.assertNotIn("exit: none", "".join(stock), "the program doesn't end on stock either")
            found = difference(stock, ours)
        if any(all(map(fits, found, one)) for one in expected):
            self.assertEqual(is_open, [], "it passes: take it out of both_ways/open.tsv")
            return
        if is_open:
            self.skipTest(f"fails until {'; '.join(is_open)}")
        self.assertEqual("\n".join(stock), "\n".join(ours), f"meant: {expected}" if any(expected[0]) else None)

    def test_the_document_shows_the_differences(self):
        text = read_document()
        if not SECTION.search(text):
            self.skipTest("doc/python.md has no place for them")
        self.assertEqual(text, with_differences(text), "test_both_ways.py --docs writes them")

    def test_tables_name_programs(self):
        for table in "differences.tsv", "open.tsv":
            for row in read_table(table):
                self.assertIn(row[0], NAMES, table)


def read_document():
    with open(DOCUMENT, encoding="utf-8") as file:
        return file.read()


def with_differences(text):
    rows = []
    for name, versions, _, _, what in read_table("differences.tsv"):
        rows.append(f"- {what} (`{name}`{'' if versions.startswith('all') else ', ' + versions})")
    return SECTION.sub(lambda found: found[1] + "\n".join(rows) + "\n" + found[2], text)


def write_document():
    text = with_differences(read_document())
    with open(DOCUMENT, "w", encoding="utf-8") as file:
        file.write(text)


for _name in NAMES:
    setattr(BothWays, f"test_{_name}", lambda self, name=_name: self.check(name))


def show(names):
    BothWays.chosen = names
    BothWays.setUpClass()
    try:
        for name in names:
            for way, future in zip(("stock", "ours"), BothWays.results[name]):
                print(f"---- {name}: {way}", *future.result(), sep="\n")
    finally:
        BothWays.doClassCleanups()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments == ["--docs"]:
        sys.exit(write_document())
    if arguments[:1] == ["--show"]:
        sys.exit(show(arguments[1:]))
    if arguments:
        BothWays.chosen = [word for word in arguments if word in NAMES]
        sys.argv[1:] = [f"BothWays.test_{word}" if word in NAMES else word for word in arguments]
    unittest.main()
