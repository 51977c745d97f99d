# SPDX-License-Identifier: MIT
"""tests/pages.py: a page whose commands print something else, end never or aren't run is told."""

import os
import subprocess
from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parent / "pages.py"


@pytest.fixture
def check(tmp_path):
    """Checks a page with this text. The installation has nothing in it."""
    for name in "libforkserver.so", "forkserver/__init__.py":
        path = tmp_path / "prefix/lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def check(text, patience=1):
        page = tmp_path / "page.md"
        page.write_text(text)
        environment = {**os.environ, "FORKSERVER_TEST_PATIENCE": str(patience)}
        return subprocess.run(["/usr/bin/python3", PAGES, tmp_path / "prefix", page], env=environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=120)

    return check


def test_a_page_that_is_right(check):
    told = check("""\
This is `sub/data.txt`:

```ini
a line
```

- an item

  ```console
  $ cat sub/data.txt
  a line
  $ cat sub/data.txt - <<'END'
  another
  END
  …
  another
  $ cat \\
      sub/*.txt
  a line
  $ (exit 3)
  $ echo $?; date
  3
  … 20…
  ```

<!-- file: b.txt -->
```ini
b line
```

<!--
```console
$ cat b.txt
b line
```
-->

<!-- not run: it is for others -->
```sh
false
```
""")
    assert (told.returncode, told.stdout.count("6 commands")) == (0, 1), told.stdout


@pytest.mark.parametrize("text, reason", [
    ("```console\n$ echo one; echo two\none\n```\n", "prints:\none\ntwo"),
    ("```console\n$ true\nnothing\n```\n", "and not:\nnothing"),
    ("```console\nno command\n```\n", "begins with no command"),
    ("```sh\nls\n```\n", "not run, and why?"),
    ("This is\n`a.c`, a program:\n```c\nint a;\n```\n", "not run, and why?"),
    ("```console\n$ true\n", "begins or ends at no line"),
    ("```console\n$ exit\n```\n", "has not ended"),
])
def test_a_page_that_is_wrong(check, text, reason):
    told = check(text)
    assert told.returncode == 1 and reason in told.stdout, told.stdout


def test_a_command_that_does_not_end(check):
    told = check("```console\n$ echo begun; sleep 100\nbegun\n```\n", patience=0.01)
    assert told.returncode == 1 and "has not ended; it has printed:" in told.stdout, told.stdout
