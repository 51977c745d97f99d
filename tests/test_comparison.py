# SPDX-License-Identifier: MIT
"""doc/comparison.md: its tables are whole, each peer has advice and sources, and what it says we have is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "doc" / "comparison.md"
TEXT = PAGE.read_text(encoding="utf-8")
*PARTS, SOURCES = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
HOSTS = {"github.com", "www.gnu.org", "sourceware.org"}


def table(part):
    """The rows of a part's only table, as lists of cells."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]
    return [rows[0], *rows[2:]]


def ours(part):
    """The code of Forkserver's column."""
    return " ".join(re.findall("`([^`]+)`", " ".join(row[1] for row in table(part))))


def read(pattern):
    return "".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob(pattern)))


def test_there_are_three_tables():
    assert [part.partition("\n")[0] for part in PARTS] == ["Python", "C and sandboxes", "The shell"]
    assert SOURCES.startswith("Sources\n")


@pytest.mark.parametrize("part", PARTS)
def test_a_table_is_whole(part):
    rows = table(part)
    assert len(rows) > 15
    assert {len(row) for row in rows} == {len(rows[0])}
    assert all(all(row[1:]) for row in rows), "a cell is empty"
    assert rows[0][1].startswith("Forkserver") and rows[1][0] == "checked"


@pytest.mark.parametrize("part", PARTS)
def test_each_column_has_advice_and_sources(part):
    for text, names in (("advice", re.findall(r"^- \*\*(.+?)\*\*:", part, re.MULTILINE)),
                        ("sources", re.findall(r"^\*\*(.+?)\*\*", SOURCES, re.MULTILINE))):
        for column in table(part)[0][1:]:
            assert len([name for name in names if name in column]) == 1, f"{column} has no {text}"


def test_our_python_names_are_there():
    names = re.findall(r"\b(\w+)=", ours(PARTS[0]))
    parameters = set(re.findall(r"\b(\w+): ", read("python/forkserver/_[ae]*.py")))
    assert "retries" in names and set(names) <= parameters
    assert "class WorkerDied" in read("python/forkserver/_calls.py")


def test_our_c_names_are_there():
    names = set(re.findall(r"fsrv_\w+", TEXT))
    assert names and not [name for name in names if f"{name}(" not in read("include/forkserver.h")]


def test_our_options_are_there():
    names = re.findall(r"(?<!\S)--?\w[\w-]*", ours(PARTS[2]))
    source = read("src/cli/*.c")
    assert "--json" in names
    assert not [name for name in names if not re.search(rf"[ ,]{name}\b", source)]


def test_links_lead_somewhere():
    for host in re.findall(r"\w+://([^/\s>)]+)", TEXT):
        assert host in HOSTS
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (PAGE.parent / target).exists(), target
    for target in re.findall(r"`(tests/\w+\.py)`", TEXT):
        assert (ROOT / target).exists(), target


def test_it_has_no_figures_of_speed():
    assert not re.findall(r"\d ?(?:ms|us|µs)\b|\d\S* times", TEXT)
