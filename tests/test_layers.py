# SPDX-License-Identifier: MIT
"""The check of the layers finds what it is for, and so does that of the circles."""
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
    empty = ("include/forkserver.h", "src/base/fd.h", "src/wire/channel.h", "src/server/server.h")
    for name, text in {**dict.fromkeys(empty, ""), **files}.items():
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
        "bench/loops.c": '#include "forkserver.h"\n',
    })
    assert check(tmp_path)[0] == 0


def test_an_include_against_the_direction_is_named(tmp_path):
    make(tmp_path, **{"src/base/fd.c": '\n#include "wire/channel.h"\n'})
    code, text = check(tmp_path)
    assert code == 1
    assert "src/base/fd.c:2: base may not include src/wire/channel.h" in text


def test_spelling_does_not_hide_an_include(tmp_path):
    make(tmp_path, **{
        "src/base/fd.c": '#  include "../server/server.h"\n',
        "bench/loops.c": '#include "../src/base/fd.h"\n',
    })
    code, text = check(tmp_path)
    assert code == 1
    assert "base may not include src/server/server.h" in text
    assert "bench may not include src/base/fd.h" in text


@pytest.mark.parametrize("text", [
    '/**/ #include "server/server.h"',
    '#include \\\n "server/server.h"',
    '#include/* \n */"server/server.h"',
    '#include_next <server/server.h>',
    '#import "server/server.h"',
    '%:include "server/server.h"',
    '#define HEADER "server/server.h"\n#include HEADER',
])
def test_no_form_hides_an_include(tmp_path, text):
    make(tmp_path, **{"src/base/fd.c": f"{text}\n", "src/base/fd.inc": f"{text}\n", "src/loose.c": f"{text}\n"})
    code, output = check(tmp_path)
    assert code == 1
    assert all(f"src/{name}:" in output for name in ("base/fd.c", "base/fd.inc", "loose.c")), output


def test_what_is_commented_out_is_free(tmp_path):
    make(tmp_path, **{
        "src/base/fd.c":
            '/*\n#include "server/server.h"\n*/\n// \\\n#include "server/server.h"\nstatic char *s = "/*";\n',
    })
    assert check(tmp_path)[0] == 0


def test_the_line_is_right_after_comments_and_joints(tmp_path):
    text = '/*\n\n*/\n#define A \\\n 1\nstatic char *s = "/*";\n#include "wire/channel.h"\n'
    make(tmp_path, **{"src/base/fd.c": text})
    assert "src/base/fd.c:7: base may not include" in check(tmp_path)[1]


def test_a_symbolic_link_does_not_hide_an_include(tmp_path):
    make(tmp_path, **{"src/base/fd.c": '#include "base/mine.h"\n'})
    (tmp_path / "src/base/mine.h").symlink_to("../server/server.h")
    assert check(tmp_path)[0] == 1


# Two files of the server that use each other, and one that both of them use.
SERVER = {
    "src/server/server.h": """
/* loop.c */
void fsrv__watch(void);
int fsrv__served(void);
/* zygotes.c */
void fsrv__start(void);
void fsrv__say(void);
""",
    "src/server/loop.c": """
#include "server/server.h"
void fsrv__watch(void) {
        fsrv__say();
}
int fsrv__served(void) {
        fsrv__start();
        return 0;
}
""",
    "src/server/zygotes.c": """
#include "server/server.h"
void fsrv__start(void) {
        fsrv__watch();
        fsrv__say();
}
""",
    "src/server/log.c": """
#include "server/server.h"
void fsrv__say(void) {
}
""",
}


def test_a_new_circle_is_named_with_its_way(tmp_path):
    make(tmp_path, **SERVER)
    code, text = check(tmp_path)
    assert code == 1
    assert text == ("a circle: src/server/loop.c uses fsrv__start of src/server/zygotes.c, "
                    "which uses fsrv__watch of src/server/loop.c\n")


@pytest.mark.parametrize("text", [
    "static void fsrv__watch(void) {\n}\nvoid fsrv__start(void) {\n        fsrv__watch();\n}\n",  # its own
    "void fsrv__start(void) {\n        /* fsrv__watch(); */\n        fsrv__say(\"fsrv__watch\");\n}\n",
    "void fsrv__start(void) {\n        struct fsrv__watch watch_;\n        watch_.fsrv__watch->fsrv__watch = 1;\n}\n",
])
def test_what_only_has_the_name_is_no_use(tmp_path, text):
    make(tmp_path, **{**SERVER, "src/server/zygotes.c": text})
    assert check(tmp_path)[0] == 0


@pytest.mark.parametrize("text", [
    "#define AGAIN() fsrv__watch()\n",
    "static inline void AGAIN(void) {\n        fsrv__watch();\n}\n",
])
def test_a_header_does_not_hide_a_use(tmp_path, text):
    make(tmp_path, **{
        **SERVER, "src/server/again.h": text,
        "src/server/zygotes.c": '#include "server/again.h"\nvoid fsrv__start(void) {\n        AGAIN();\n}\n',
    })
    assert "zygotes.c, which uses fsrv__watch of src/server/loop.c" in check(tmp_path)[1]


def test_a_name_that_could_be_anybodys(tmp_path):
    make(tmp_path, **{"src/base/clock.c": "int fsrv_now(void) {\n        return 0;\n}\nstatic int ours;\n"})
    assert check(tmp_path) == (1, "src/base/clock.c: fsrv_now is not static, so it has to begin with fsrv__\n")
    (tmp_path / "include" / "forkserver.h").write_text("int fsrv_now(void);\n", encoding="utf-8")
    assert check(tmp_path)[0] == 0


def test_two_files_of_one_name(tmp_path):
    make(tmp_path, **{"src/base/clock.c": "", "src/wire/clock.c": ""})
    assert check(tmp_path) == (1, "src/wire/clock.c: src/base/clock.c has the same name\n")


ROOT = Path(__file__).resolve().parent.parent


def test_the_walk_names_functions_that_are_there():
    """doc/walk.md: in each step a file or more, and what they define; no function of ours is named twice."""
    text = (ROOT / "doc" / "walk.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 60
    steps, files, named = re.split(r"^\d+\. ", text, flags=re.MULTILINE)[1:], [], []
    for step in steps:
        files = re.findall(r"`([a-z]+/[a-z_]+\.c)`", step) or files
        sources = "".join((ROOT / "src" / file).read_text(encoding="utf-8") for file in files)
        for function in re.findall(r"`(\w+)\(\)`", step):
            assert re.search(rf"^\w.*\b{function}\(.*\{{$|^\w.*\b{function}\([^;]*$", sources,
                             re.MULTILINE), f"{function} is not in {files}"
            named.append(function)
    assert len(steps) > 20
    assert len(set(named)) == len(named)
