# SPDX-License-Identifier: MIT
"""What the subcommands of `forkserver` share: harmless texts, help, durations, users."""

import contextlib
import os
import pwd
import shutil
import subprocess

import pytest

from spawner import LIMIT, eventually


@pytest.fixture
def call(forkserver):
    """Runs the command: exit code, standard output, standard error."""
    def run(*words, stdin="", **options):
        stdin = stdin if isinstance(stdin, bytes) else stdin.encode()
        result = subprocess.run([forkserver, *map(os.fsencode, words)], input=stdin, capture_output=True,
                                timeout=LIMIT, **options)
        return result.returncode, result.stdout, result.stderr
    run.forkserver = forkserver
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


@pytest.mark.parametrize("pad", range(4))
def test_cause_behind_a_long_name(call, tmp_path, pad):
    """The library has no room for it."""
    directory = tmp_path / ("x" * pad + "😀" * 60)
    directory.mkdir()
    (directory / "echo").symlink_to("/bin/echo")
    code, _, err = call("map", directory / "echo", stdin="y" * 200_000)
    assert code == 123 and is_harmless(err) and err.endswith("😀...: Argument list too long\n".encode())


# ---- help ----

COMMANDS = ["run", "map", "check", "serve", "stop", "ping", "stats", "ps", "top"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help(call, command):
    code, out, err = call("help", command)
    assert (code, err) == (0, b"") and f"forkserver {command} ".encode() in out and b"-h, --help" in out
    assert call(command, "-h") == call(command, "--help") == (0, out, b"")


def test_help_of_all(call):
    code, out, err = call("help")
    assert (code, err) == (0, b"") and all(f"  {command}".encode() in out for command in [*COMMANDS, "help"])
    assert call("-h") == call("--help") == call("help", "help") == (0, out, b"")
    for words in ["help", "nothing"], ["help", "run", "map"]:
        code, out, err = call(*words)
        assert (code, out) == (125, b"") and words[-1].encode() in err


# ---- times and users ----

@pytest.mark.parametrize("time", ["60", "0.5m", "1h", "1d", "30s", ".01d", "60000ms", "0", "1.h"])
def test_times(call, time):
    assert call("run", "--timeout", time, "--preload-timeout", "1m", "true")[0] == 0
    assert call("map", "--timeout", time, "--preload-timeout", "5000ms", "true", stdin="x\n")[0] == 0


@pytest.mark.parametrize("time", ["", "x", "s", "1x", "1 s", " 1", "-1", "+1", "1e3", "0x10", "inf", "nan", "1.2.3",
                                  "1sm", "1S", "100000d", "."])
def test_times_that_are_none(call, time):
    for words in ["run", "--timeout"], ["map", "--timeout"], ["serve", "--preload-timeout"], ["stop", "--timeout"], [
            "check", "--timeout"], ["run", "--preload-timeout"], ["map", "--preload-timeout"]:
        code, _, err = call(*words, time, "true")
        assert code == 125 and f"'{time}' is not a time".encode() in err


def test_time_limits_are_kept(call):
    """In other units than seconds: neither waits for its minute."""
    code, _, err = call("run", "--timeout", "50ms", "sleep", "60")
    assert code == -9 and b"longer than" in err
    assert call("map", "--timeout", ".001m", "sleep", "60", stdin="x\n")[0] == 123


def test_preload_timeout(call, module):
    for words in ["run"], ["map"]:
        code, _, err = call(*words, "--preload-timeout", "300ms", "--preload", module("hang_on_load"), "true",
                            stdin="x\n")
        assert code == 125 and b"hang_on_load" in err
        assert call(*words, "--preload-timeout", "0", "true")[0] == 125


def test_users_by_name(call, tmp_path):
    """The server's owner: whether the name is taken for the number shows in what is refused."""
    me, somebody = pwd.getpwuid(os.getuid()), next(user for user in pwd.getpwall() if user.pw_uid != os.getuid())
    with serving(call.forkserver, tmp_path, "--allow-uid", somebody.pw_name) as path:
        for user in me.pw_name, str(me.pw_uid):
            assert call("run", "--socket", path, "--server-uid", user, "true")[0] == 0
            assert call("ping", "--socket", path, "--server-uid", user)[0] == 0
        for user in somebody.pw_name, str(somebody.pw_uid):
            code, _, err = call("run", "--socket", path, "--server-uid", user, "true")
            assert code == 125 and b"is served by uid" in err
    for words in ["run", "--server-uid"], ["serve", "--allow-uid"], ["map", "--server-uid"]:
        code, _, err = call(*words, "no such user", "true")
        assert code == 125 and b"there is no user 'no such user'" in err


@contextlib.contextmanager
def serving(forkserver, tmp_path, *words):
    path = tmp_path / "socket"
    process = subprocess.Popen([forkserver, "serve", "--socket", path, *words], stdin=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        ping = [forkserver, "ping", "--socket", path]
        assert eventually(lambda: subprocess.run(ping, capture_output=True).returncode == 0)
        yield path
    finally:
        process.terminate()
        process.wait(LIMIT)


@pytest.mark.parametrize("command", ["run", "map", "serve", "stop", "ping", "stats", "ps", "top"])
def test_empty_socket(call, command):
    assert call(command, "--socket", "", "true") == (125, b"", b"forkserver: --socket: the path is empty\n")


# ---- hints at entry points ----

@pytest.fixture
def built(tmp_path):
    """Makes a module of a source in the working directory of what is called."""
    def build(name, source, compiler="cc"):
        if not shutil.which(compiler):
            pytest.skip(f"no {compiler} here")
        path = tmp_path / (name + (".c" if compiler == "cc" else ".cpp"))
        path.write_text(source)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", tmp_path / f"{name}.so", path], check=True)
    return build


def complaints(call, tmp_path, entry):
    """Of run, with the module preloaded and without, and of map."""
    preload = ["--preload", entry.partition(":")[0]]
    for words in ["run"], ["run", *preload], ["map"], ["map", *preload]:
        code, out, err = call(*words, "--call", entry, stdin="x\n", cwd=tmp_path)
        assert (code, out) == (125, b"") and err.count(b"\n") == 1
        yield err.decode()


def test_variable_as_entry(call, built, tmp_path):
    built("m", "int counter = 3; static int hidden[2]; int *pointer = hidden; const char name[] = \"x\";")
    for name in "counter", "pointer", "name":
        for text in complaints(call, tmp_path, f"./m.so:{name}"):
            assert f"'{name}' is a variable, not a function" in text


def test_cplusplus_function_as_entry(call, built, tmp_path):
    built("m", "int plain(int, char **) { return 0; } namespace a { struct b { static int in(int); };"
               "int b::in(int x) { return x; } } extern \"C\" int good(int, char **) { return 7; }", "c++")
    for name, mangled in ("plain", "_Z5plainiPPc"), ("in", "_ZN1a1b2inEi"):
        for text in complaints(call, tmp_path, f"./m.so:{name}"):
            assert f"'{mangled}'" in text and 'extern "C"' in text
    for name in "lain", "plai", "a", "b", "nothing":
        for text in complaints(call, tmp_path, f"./m.so:{name}"):
            assert f"has no function '{name}'" in text
    for name in "./m.so:_Z5plainiPPc", "./m.so:good":
        assert call("run", "--call", name, cwd=tmp_path)[0] == (7 if "good" in name else 0)


def test_module_without_its_directory(call, built, tmp_path):
    built("m", "int f(void) { return 0; }")
    for text in complaints(call, tmp_path, "m.so:f"):
        assert "'./m.so'" in text
    for text in complaints(call, tmp_path, "nothing.so:f"):
        assert "No such file" in text and "./" not in text
    code, out, _ = call("check", "--preload", "m.so", cwd=tmp_path)
    assert code == 1 and b"'./m.so'" in out
