# SPDX-License-Identifier: MIT
"""The man pages: they are current, complete and well-formed, and a change of what they are made of makes them stale."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spawner import LIMIT

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "doc/man"


@pytest.fixture(autouse=True)
def plain(sanitized):
    if sanitized or os.environ.get("FORKSERVER_DENY"):
        pytest.skip("once is enough: in the plain run")


def run(*words, **options):
    return subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=LIMIT, **options)


def need(program):
    if not shutil.which(program):
        pytest.skip(f"there is no {program} here")


def commands_of(forkserver):
    block = run(forkserver, "help").stdout.split("Commands:\n")[1].split("\n\n")[0]
    return [name for name in re.findall(r"^  (\w+)", block, re.MULTILINE) if name != "help"]


def accepted(forkserver, module, command):
    """What getopt_long(3) is told to accept."""
    return set(run(forkserver, command, env={**os.environ, "LD_PRELOAD": module("accepted")}).stdout.split())


# ---- what the pages have ----

def test_what_is_written_is_current(forkserver):
    result = run(sys.executable, "-B", ROOT / "tools/manual", "--check", forkserver)
    assert result.returncode == 0, result.stderr


def options_of(page):
    """Of its section OPTIONS, as accepted() has them."""
    section = (PAGES / page).read_text().split("\n# OPTIONS\n")[1].split("\n# ")[0]
    for head in re.findall(r"^(\*-(?:.|\n(?!\t|\n))*)$", section, re.MULTILINE):
        names = []
        for name, argument in re.findall(r"\*(-[^*]*)\*( _[^_]+_)?(?:, |$)", head.replace("\n", " ")):
            names.append(name)
            if name.startswith("--") or argument:
                yield from (name + "=" * bool(argument) for name in names)
                names = []
        assert not names, head


def test_options_are_those_that_are_accepted(forkserver, module):
    commands = commands_of(forkserver)
    assert {"run", "map", "serve"} <= set(commands)
    for command in commands:
        assert set(options_of(f"forkserver-{command}.1.scd")) == accepted(forkserver, module, command), command


def test_every_command_has_a_page(forkserver):
    text = (PAGES / "forkserver.1.scd").read_text()
    for command in commands_of(forkserver):
        assert (PAGES / f"forkserver-{command}.1.scd").exists() and f"*forkserver-{command}*(1)" in text


def test_every_function_has_a_page(build):
    symbols = run("nm", "-D", "--defined-only", build / "src/libforkserver.so").stdout
    functions = set(re.findall(r" T (fsrv_(?!_)\w+)", symbols))
    aliases = dict(line.split() for line in (PAGES / "aliases.txt").read_text().splitlines())
    assert len(functions) > 100
    assert functions <= {name.removesuffix(".3") for name in aliases}
    for name, page in aliases.items():
        assert name.removesuffix(".3") in (PAGES / f"{page}.scd").read_text().replace("\\_", "_"), name


def test_what_is_pointed_to_is_there():
    """Each of our own pages that a page names."""
    pages = {path.name.removesuffix(".scd") for path in PAGES.glob("*.scd")}
    aliases = {line.split()[0] for line in (PAGES / "aliases.txt").read_text().splitlines()}
    for path in PAGES.glob("*.scd"):
        text = path.read_text().replace("\\_", "_")
        for name, section in re.findall(r"\*((?:lib)?forkserver[\w-]*|fsrv_\w+)\*\((\d)\)", text):
            assert f"{name}.{section}" in pages | aliases, (path.name, name)
    assert (PAGES / "pages.txt").read_text().split() == sorted(pages)


# ---- as roff ----

@pytest.fixture
def made(build):
    need("scdoc")
    if not (build / "doc/man/forkserver.7").exists():
        pytest.skip("the pages were not built: scdoc came later")
    return [build / "doc/man" / page for page in (PAGES / "pages.txt").read_text().split()]


def test_groff_has_no_warning(made):
    need("groff")
    for page in made:
        result = run("groff", "-man", "-t", "-k", "-ww", "-Tutf8", page)
        assert (result.returncode, result.stderr) == (0, ""), page
        assert page.stem in result.stdout


def test_mandoc_finds_no_error(made):
    need("mandoc")
    result = run("mandoc", "-Tlint", "-Werror", *made)
    assert (result.returncode, result.stdout) == (0, ""), result.stdout


def test_options_can_be_searched_and_copied(made):
    """groff makes typographic hyphens of those that aren't escaped."""
    for page in made:
        for line in page.read_text().splitlines():
            assert line.startswith(".") or not re.search(r"(?<![\w\\-])--[a-z]", line), (page, line)


def test_man_finds_pages_and_functions(made, tmp_path):
    need("man")
    for path in made[0].parent.glob("*.[137]"):
        folder = tmp_path / f"man{path.suffix[1:]}"
        folder.mkdir(exist_ok=True)
        (folder / path.name).symlink_to(path)
    environment = {**os.environ, "MANPATH": str(tmp_path), "LC_ALL": "C.UTF-8", "MANWIDTH": "100"}
    for words, text in [(["fsrv_spawn"], "Creates the process."), (["fsrv_status"], "struct fsrv_status"),
                        (["forkserver-map"], "--preload-timeout TIME"), (["7", "forkserver"], "doorbell"),
                        (["forkserver"], "COMMAND")]:
        result = run("man", "-P", "cat", "-E", "UTF-8", "--warnings", *words, env=environment)
        assert result.returncode == 0 and not result.stderr and text in result.stdout, (words, result.stderr)


# ---- what makes them stale ----

@pytest.fixture
def copy(tmp_path, forkserver):
    """A copy of the sources, and a command that says what `forkserver` says, through sed."""
    for name in "tools/manual", "doc/man", "doc/architecture.md", "completions", "include":
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)

    class Copy:
        root = tmp_path

        def change(self, name, before, after):
            text = (tmp_path / name).read_text()
            assert before in text
            (tmp_path / name).write_text(text.replace(before, after, 1))

        def say(self, script):
            path = tmp_path / "forkserver"
            path.write_text(f'#!/bin/sh\n{script}\n')
            path.chmod(0o755)

        def manual(self, *words):
            return run(sys.executable, "-B", tmp_path / "tools/manual", *words, tmp_path / "forkserver")

    result = Copy()
    result.say(f'exec {forkserver} "$@"')
    return result


def test_a_change_makes_stale(copy):
    for name, before, after, stale in [
            ("include/forkserver.h", "Errors: -EINVAL (an option out of range)", "Errors: -EINVAL",
             "forkserver-servers.3.scd"),
            ("include/forkserver.h", "#define FSRV_UID_OWN", "FSRV_PUBLIC int fsrv_new(void);\n#define FSRV_UID_OWN",
             "aliases.txt"),
            ("doc/architecture.md", "forked ahead of time", "forked early", "forkserver.7.scd"),
            ("doc/man/forkserver-run.1.scd", "run this instead of a program", "run this", "forkserver-run.1.scd"),
            ("completions/_forkserver", "(auto freeze", "(auto off", "completions/_forkserver")]:
        copy.change(name, before, after)
        result = copy.manual("--check")
        assert result.returncode == 1 and stale in result.stderr, result.stderr
        assert copy.manual().returncode == 0
    assert copy.manual("--check").returncode == 0


def test_what_is_written_by_hand_stays(copy):
    copy.change("doc/man/forkserver-run.1.scd", "# EXAMPLES\n", "# EXAMPLES\n\nBy hand.\n")
    copy.change("completions/forkserver.bash", "\n_forkserver() {", "\n# By hand.\n_forkserver() {")
    assert copy.manual("--check").returncode == 0


def test_a_section_that_has_gone(copy):
    copy.change("include/forkserver.h", "/* ---- Calls ---", "/* ---- Other calls ---")
    result = copy.manual()
    assert result.returncode == 1 and "forkserver-calls.3" in result.stderr and "remove it" in result.stderr


def test_a_command_is_listed_nowhere_else(copy, forkserver):
    """A new one gets its page and its completions from its help alone."""
    copy.say(f'''case $1.$2 in
help.) {forkserver} help | sed 's/^  help /  jobs    show what runs, as top(1) does\\n&/' ;;
jobs.--help) printf '%s\\n' 'Usage: forkserver jobs --socket PATH [OPTION]... [PID]...' 'Show them.' '' \\
    '      --order KEY  by what they are ordered: cpu or memory' \\
    '  -h, --help       show this help' '' 'Exit code: 0.' ;;
jobs.--order) echo "forkserver: --order: '?' is none of cpu and memory" >&2; exit 125 ;;
*) exec {forkserver} "$@" ;;
esac''')
    result = copy.manual("--check")
    assert result.returncode == 1 and "forkserver-jobs.1.scd" in result.stderr
    assert copy.manual().returncode == 0
    page = (copy.root / "doc/man/forkserver-jobs.1.scd").read_text()
    assert "forkserver-jobs - show what runs, as top(1) does\n" in page and "*--order* _KEY_\n\tby what" in page
    assert "# EXIT STATUS\n\n0.\n" in page and "forkserver-jobs.1\n" in (copy.root / "doc/man/pages.txt").read_text()
    for name, text in [("forkserver.bash", "    jobs)\n        flags=(-h --help)\n        takes=([--order]='cpu"),
                       ("_forkserver", "ordered]:KEY:(cpu memory)'"),
                       ("forkserver.fish", "-l order -x -a 'cpu memory'")]:
        assert text in (copy.root / "completions" / name).read_text(), name
