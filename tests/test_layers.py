# SPDX-License-Identifier: MIT
"""The check of the layers finds what it is for."""
import subprocess
import sys
from pathlib import Path

CHECK = Path(__file__).with_name("check_layers.py")
TABLE = """
| code in | may include |
|---|---|
| base | base |
| wire | base, wire |
| server, tracker | base, wire, own folder |
| cli, bench, integration tests | the public headers alone |
| any of src/ | the public headers, for their types |
"""


def make(tmp_path, **files):
    (tmp_path / "doc").mkdir()
    (tmp_path / "doc/architecture.md").write_text(TABLE)
    for name, text in {"include/forkserver.h": "", "src/base/fd.h": "", "src/wire/channel.h": "", "src/server/server.h": "", **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def check(tmp_path):
    result = subprocess.run([sys.executable, CHECK, tmp_path], capture_output=True, text=True)
    return result.returncode, result.stdout


def test_what_the_table_allows_passes(tmp_path):
    make(tmp_path, **{
        "src/base/fd.c": '#include "base/fd.h"\n#include <stdio.h>\n',
        "src/server/main.c": '#include "server/server.h"\n#include "wire/channel.h"\n#include "forkserver.h"\n',
        "tests/unit/test_fd.c": '#include "base/fd.h"\n',
        "bench/roundtrip.c": '#include "forkserver.h"\n',
    })
    assert check(tmp_path)[0] == 0


def test_an_include_against_the_direction_is_named(tmp_path):
    make(tmp_path, **{"src/base/fd.c": '\n#include "wire/channel.h"\n'})
    code, text = check(tmp_path)
    assert code == 1
    assert "src/base/fd.c:2: base may not include src/wire/channel.h" in text


def test_spelling_does_not_hide_it(tmp_path):
    make(tmp_path, **{
        "src/base/fd.c": '#  include "../server/server.h"\n',
        "bench/roundtrip.c": '#include "../src/base/fd.h"\n',
    })
    code, text = check(tmp_path)
    assert code == 1
    assert "base may not include src/server/server.h" in text
    assert "bench may not include src/base/fd.h" in text


def test_a_symbolic_link_does_not_hide_it(tmp_path):
    make(tmp_path, **{"src/base/fd.c": '#include "base/mine.h"\n'})
    (tmp_path / "src/base/mine.h").symlink_to("../server/server.h")
    assert check(tmp_path)[0] == 1
