# SPDX-License-Identifier: MIT
"""What the subcommands of `forkserver` share: harmless texts, help, durations, users."""

import os
import subprocess

import pytest

from spawner import LIMIT


@pytest.fixture
def call(forkserver):
    """Runs the command: exit code, standard output, standard error."""
    def run(*words, stdin="", **options):
        stdin = stdin if isinstance(stdin, bytes) else stdin.encode()
        result = subprocess.run([forkserver, *map(os.fsencode, words)], input=stdin, capture_output=True,
                                timeout=LIMIT, **options)
        return result.returncode, result.stdout, result.stderr
    return run


# ---- texts from outside ----

HARMFUL = [b"\x1b[31m", b"\r", b"\x07", b"\x7f", b"\xc2\x9b31m", b"\x9b31m", b"\x80", b"\xe2\x82", b"\n"]
OBEYED = [bytes([byte]) for byte in [*range(0x20), 0x7f] if byte != 10] + [b"\xc2" + bytes([byte]) for byte in
                                                                         range(0x80, 0xa0)]


def is_harmless(text):
    assert text.endswith(b"\n") and text.count(b"\n") == 1, text
    text.decode()
    return not any(sequence in text for sequence in OBEYED)


@pytest.mark.parametrize("name", HARMFUL)
@pytest.mark.parametrize("words", [
    ["run"], [], ["map"], ["run", "--preload"], ["run", "--call"], ["run", "--timeout"], ["serve", "--mode"],
    ["ping", "--socket"], ["map", "-a"], ["check", "--memory"]])
def test_texts_from_outside_are_harmless(call, words, name):
    words = [*words, b"a" + name + b"b"]
    if words[-2:-1] in (["--preload"], ["-a"]):
        words.append("true")
    code, out, err = call(*words, stdin="x\n")
    assert code in (125, 127) and out == b"" and b"a" in err and b"b" in err
    assert is_harmless(err)


@pytest.mark.parametrize("item", HARMFUL[:-1])
def test_items_in_complaints_are_harmless(call, item):
    code, _, err = call("map", "sh", "-c", "kill -9 $$", stdin=b"x" + item + "äß€😀".encode() + b"\n")
    assert code == 123 and is_harmless(err) and "äß€😀': killed by SIGKILL".encode() in err


@pytest.mark.parametrize("pad", range(4))
def test_shortened_by_whole_characters(call, pad):
    item = "x" * pad + "😀" * 200
    _, _, err = call("map", "sh", "-c", "kill -9 $$", stdin=item)
    assert "😀...': killed by".encode() in err and is_harmless(err)
    for words in ["run", item], ["run", "--call", item * 10], [item * 10], ["run", "--preload", "/" + item, "true"]:
        code, _, err = call(*words)
        assert code in (125, 126) and is_harmless(err) and b"?" not in err and b"..." in err
        assert words[0] != "run" or words[1] != item or b"File name too long" in err
