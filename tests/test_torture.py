# SPDX-License-Identifier: MIT
"""The torture (./dev torture) for a few seconds; that it notices what it is for is shown by tests/mutants/torture-*."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

from leftovers import PATIENCE

TESTS = pathlib.Path(__file__).parent
sys.path.insert(0, str(TESTS / "torture"))
import docs  # noqa: E402

TORTURE = TESTS / "torture" / "torture.py"
LIMIT = 150 * PATIENCE


def torture(tmp_path, *words):
    figures = tmp_path / "figures.json"
    command = [sys.executable, TORTURE, "--json", figures, *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    return result, json.loads(figures.read_text()) if figures.exists() else None


@pytest.mark.parametrize("variant", ["private", "sandbox", "server-untold"])
def test_short(tmp_path, variant):
    result, figures = torture(tmp_path, "--minutes", 0.15, "--only", variant)
    assert result.returncode == 0, result.stdout + result.stderr
    (outcome,) = figures["torture"]["variants"]
    assert outcome["acts"] >= outcome["acts_asked"] > 40 and outcome["right"] > 0
    assert f"seed {figures['torture']['seed']}" in result.stdout
    (tmp_path / "doc").mkdir()
    docs.write(figures, tmp_path)
    assert f"| {variant}: " in (tmp_path / "doc" / "reliability.md").read_text()


def test_long(tmp_path, sanitized):
    if sanitized:
        pytest.skip("a sanitizer's memory grows by itself")
    result, figures = torture(tmp_path, "--long", 10000)
    assert result.returncode == 0, result.stdout + result.stderr
    assert figures["long"]["right"] >= figures["long"]["spawns"] == 10000


def test_unknown_variant(tmp_path):
    result, _ = torture(tmp_path, "--only", "nonsense")
    assert result.returncode == 1 and "server-named" in result.stderr


def test_reliability_names_tests():
    """What the table of doc/reliability.md says to be shown by a test is."""
    named = set(re.findall(r"`tests/(\w+\.py)::(\w+)`", (TESTS / "torture" / "reliability.head.md").read_text()))
    missing = {f"{file}::{name}" for file, name in named
               if not re.search(rf"^def {name}\(", (TESTS / file).read_text() if (TESTS / file).exists() else "", re.M)}
    assert named and not missing
