# SPDX-License-Identifier: MIT
"""The check of the layers finds what it is for, and so does that of the circles."""
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
        "src/base/fd.c": '/*\n#include "server/server.h"\n*/\n// \\\n#include "server/server.h"\nchar *s = "/*";\n',
    })
    assert check(tmp_path)[0] == 0


def test_the_line_is_right_after_comments_and_joints(tmp_path):
    make(tmp_path, **{"src/base/fd.c": '/*\n\n*/\n#define A \\\n 1\nchar *s = "/*";\n#include "wire/channel.h"\n'})
    assert "src/base/fd.c:7: base may not include" in check(tmp_path)[1]


def test_a_symbolic_link_does_not_hide_an_include(tmp_path):
    make(tmp_path, **{"src/base/fd.c": '#include "base/mine.h"\n'})
    (tmp_path / "src/base/mine.h").symlink_to("../server/server.h")
    assert check(tmp_path)[0] == 1


# Two files of the server that use each other, and one that both of them use.
SERVER = {
    "src/server/server.h": """
/* loop.c */
void watch(void);
int served(void);
/* zygotes.c */
void start(void);
void say(void);
""",
    "src/server/loop.c": """
#include "server/server.h"
void watch(void) {
        say();
}
int served(void) {
        start();
        return 0;
}
""",
    "src/server/zygotes.c": """
#include "server/server.h"
void start(void) {
        watch();
        say();
}
""",
    "src/server/log.c": """
#include "server/server.h"
void say(void) {
}
""",
}
THEIRS = "src/server/loop.c src/server/zygotes.c\n"


def test_a_new_circle_is_named_with_its_way(tmp_path):
    make(tmp_path, **SERVER)
    code, text = check(tmp_path)
    assert code == 1
    assert text == ("a circle: src/server/loop.c uses start of src/server/zygotes.c, "
                    "which uses watch of src/server/loop.c\n")


def test_a_circle_that_is_known_passes(tmp_path):
    make(tmp_path, **SERVER, **{"tests/circles.txt": "# known\n" + THEIRS})
    assert check(tmp_path)[0] == 0


def test_file_that_joins_a_known_circle_is_named(tmp_path):
    log = SERVER["src/server/log.c"].replace("{\n", "{\n        start();\n")
    make(tmp_path, **{**SERVER, "src/server/log.c": log, "tests/circles.txt": THEIRS})
    code, text = check(tmp_path)
    assert code == 1
    assert text == "a circle: src/server/log.c uses start of src/server/zygotes.c, which uses say of src/server/log.c\n"


@pytest.mark.parametrize("gone", ["src/server/log.c", "src/server/old.c"])
def test_a_list_that_knows_more_than_there_is_fails(tmp_path, gone):
    make(tmp_path, **SERVER, **{"tests/circles.txt": f"# known\n{gone} {THEIRS}"})
    code, text = check(tmp_path)
    assert code == 1
    assert text.startswith(f"tests/circles.txt:2: {gone} is in no circle with the others any more")
    assert text.count("\n") == 1


def test_a_listed_circle_that_is_none_any_more_fails(tmp_path):
    make(tmp_path, **{**SERVER, "src/server/zygotes.c": "void start(void) {\n}\n", "tests/circles.txt": THEIRS})
    code, text = check(tmp_path)
    assert code == 1
    assert "src/server/loop.c is in no circle" in text
    assert "src/server/zygotes.c is in no circle" in text


def test_a_listed_circle_that_fell_apart_fails(tmp_path):
    other = {
        "src/tracker/line.h": "extern int lines[2];\nint finish(void);\n",
        "src/tracker/line.c": "int lines[2] = {\n        0, 1,\n};\nint use(void) {\n        return finish();\n}\n",
        "src/tracker/main.c": "int finish(void) {\n        return lines[1];\n}\n",
    }
    make(tmp_path, **SERVER, **other, **{
        "tests/circles.txt": THEIRS.strip() + " src/tracker/line.c src/tracker/main.c\n",
    })
    code, text = check(tmp_path)
    assert code == 1
    assert text == "tests/circles.txt:1: these are 2 circles by now, so they have to be as many lines\n"


@pytest.mark.parametrize("text", [
    "static void watch(void) {\n}\nvoid start(void) {\n        watch();\n}\n",  # its own
    "void start(void) {\n        /* watch(); */\n        say(\"watch\");\n}\n",
    "void start(void) {\n        struct watch watch_;\n        watch_.watch->watch = 1;\n}\n",
])
def test_what_only_has_the_name_is_no_use(tmp_path, text):
    make(tmp_path, **{**SERVER, "src/server/zygotes.c": text})
    assert check(tmp_path)[0] == 0


@pytest.mark.parametrize("text", [
    "#define AGAIN() watch()\n",
    "static inline void AGAIN(void) {\n        watch();\n}\n",
])
def test_a_header_does_not_hide_a_use(tmp_path, text):
    make(tmp_path, **{
        **SERVER, "src/server/again.h": text,
        "src/server/zygotes.c": '#include "server/again.h"\nvoid start(void) {\n        AGAIN();\n}\n',
    })
    assert "zygotes.c, which uses watch of src/server/loop.c" in check(tmp_path)[1]
