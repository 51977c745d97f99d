# SPDX-License-Identifier: MIT
"""`forkserver map`: which arguments become of the items: places, several items a process, lists and combinations."""

import os
import shlex
import subprocess

import pytest

from spawner import LIMIT


@pytest.fixture
def run(forkserver):
    """Runs map on an input: exit code, lines of standard output, standard error."""
    def run_map(items, *words, **options):
        command = [forkserver, "map", *(os.fsencode(str(word)) for word in words)]
        result = subprocess.run(command, input=items.encode(), capture_output=True, timeout=LIMIT, **options)
        return result.returncode, result.stdout.decode().splitlines(), result.stderr.decode()
    return run_map


@pytest.fixture
def words(run):
    """The arguments that each process gets, in order."""
    def run_map(items, *args):
        options, args = (args[0], args[1:]) if isinstance(args[0], list) else ([], args)
        code, lines, err = run(items, "-k", *options, "printf", "[%s]", *args)
        assert (code, err) == (0, "")
        return lines[0] if lines else ""
    return run_map


# ---- places ----

@pytest.mark.parametrize("item, expected", [
    ("dir.d/name.tar.gz", "[dir.d/name.tar][name.tar.gz][dir.d][name.tar]"),
    ("name", "[name][name][.][name]"),
    ("dir.d/name", "[dir.d/name][name][dir.d][name]"),
    ("/name.c", "[/name][name.c][/][name]"),
    ("a//b.c", "[a//b][b.c][a][b]"),
    ("a/b/", "[a/b/][][a][]"),
    ("/", "[/][][/][]"),
    ("x.", "[x.][x.][.][x.]"),
], ids=["tar", "bare", "dots", "root", "slashes", "directory", "slash", "dot"])
def test_parts(words, item, expected):
    assert words(item, "{.}", "{/}", "{//}", "{/.}") == expected
    assert words(item, "<{.}{/}>") == "[<" + expected[1:].split("]")[0] + expected.split("[")[2][:-1] + ">]"


def test_number_and_slot(words, run):
    assert words("a\nb\n", "{#}{}") == "[1a][2b]"
    assert words("a\nb\n", "{#}") == "[1][2]"  # it is a place: the item isn't added
    assert words("a\nb\n", ["-j1"], "{%}") == "[1][1]"
    _, lines, _ = run("a\nb\nc\nd\n", "-j2", "echo", "{%}")
    assert set(lines) <= {"1", "2"} and "1" in lines


@pytest.mark.parametrize("arg", ["{x}", "{ }", "{1#}", "{-1}", "{0}", "{...}", "${1}", "${#}", "${/}", "$${.}", "{"])
def test_what_is_no_place(words, arg):
    assert words("a", arg) == f"[{arg}][a]"


def test_positions(words):
    assert words("a/x.c", "{1}", "{1.}", "{1/}", "{1//}", "{1/.}", "{2}") == "[a/x.c][a/x][x.c][a][x][]"


# ---- several items a process ----

def test_several(run):
    for option in ["-n2"], ["-n", 2], ["--max-args=2"]:
        assert run("1\n2\n3\n4\n5\n", "-k", *option, "echo") == (0, ["1 2", "3 4", "5"], "")
    assert run("", "-n2", "echo") == (0, [], "")


def test_context_is_repeated(words):
    assert words("1\n2\n3\n", ["-n2"], "a", "x{}y", "z") == "[a][x1y][x2y][z][a][x3y][z]"
    assert words("1\n2\n3\n", ["-n2"], "{1}-{2}") == "[1-2][3-]"
    assert words("a.c\nb.c\n", ["-n2"], "{.}.o", "{#}") == "[a.o][b.o][1]"


def test_several_are_streamed(forkserver):
    process = subprocess.Popen([forkserver, "map", "-n2", "echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(b"1\n2\n3\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"1 2\n"
    assert process.communicate(timeout=LIMIT)[0] == b"3\n"


def test_as_many_as_fit(run):
    """As execve(2) would have it, and what is left is shared."""
    items = "".join(f"{'x' * 99}{i:06}\n" for i in range(60_000))
    code, lines, err = run(items, "-X", "-j2", "-k", "sh", "-c", 'echo $#; printf "%s\\n" "$@" | tail -n 1', "sh")
    counts, last = [int(line) for line in lines[::2]], lines[1::2]
    assert (code, err) == (0, "") and sum(counts) == 60_000 and last[-1].endswith("059999")
    assert len(counts) >= 4 and abs(counts[-1] - counts[-2]) <= 1 and max(counts) > 5_000
    assert all(count == counts[0] for count in counts[:-2])


def test_the_rest_is_shared(run):
    assert run("1\n2\n3\n4\n5\n", "-X", "-j2", "-k", "echo", "{}", "end")[1] == ["1 2 3 end", "4 5 end"]
    assert run("1\n2\n3\n", "-X", "-j8", "-k", "echo")[1] == ["1", "2", "3"]
    assert run("1\n2\n3\n4\n", "-X", "-j1", "-n3", "-k", "echo")[1] == ["1 2 3", "4"]


def test_item_that_never_fits(run):
    """It fails alone."""
    code, lines, err = run("a\n" + "x" * 200_000 + "\nb\n", "-n3", "-k", "echo")
    assert (code, lines) == (123, ["a", "b"]) and err.count("Argument list too long") == 1
    assert run("a\n" + "x" * 200_000 + "\nb\n", "-X", "-j1", "-k", "echo")[1] == ["a", "b"]
    big = "y" * 100_000
    code, lines, err = run("".join(f"{big}{i}\n" for i in range(40)), "-n30", "-k", "sh", "-c", "echo $#", "sh")
    assert (code, err) == (0, "") and sum(map(int, lines)) == 40 and 1 < len(lines) <= 4


def test_several_for_entry(run, testmod):
    assert run("a\nb\n", "-n2", "--call", f"{testmod}:echo", "<{}>") == (0, ["<a>", "<b>"], "")


# ---- lists ----

def test_list(run):
    assert run("no\n", "-k", "echo", "<{}>", ":::", "a", "b c", "") == (0, ["<a>", "<b c>", "<>"], "")
    assert run("no\n", "-k", "echo", ":::") == (0, [], "")
    assert run("", "-k", "-n2", "echo", ":::", "a", "b", "c")[1] == ["a b", "c"]


def test_list_for_entry(run, testmod):
    assert run("", "-k", "--call", f"{testmod}:echo", ":::", "a", "b") == (0, ["a", "b"], "")


def test_file(run, tmp_path):
    (tmp_path / "list").write_text("a\nb\n")
    assert run("no\n", "-k", "echo", "::::", tmp_path / "list") == (0, ["a", "b"], "")
    assert run("yes\n", "-k", "echo", "::::", "-") == (0, ["yes"], "")
    code, _, err = run("", "echo", "::::", tmp_path / "nothing")
    assert code == 125 and str(tmp_path / "nothing") in err


def test_combinations(run):
    assert run("", "-k", "echo", ":::", "a", "b", ":::", "1", "2", "3")[1] == [
        "a 1", "a 2", "a 3", "b 1", "b 2", "b 3"]
    assert run("", "-k", "echo", "{2}<{1}{1}>", ":::", "a", "b", ":::", "1", "2")[1] == [
        "1<aa>", "2<aa>", "1<bb>", "2<bb>"]
    assert run("", "-k", "echo", "-x{}", ":::", "a", ":::", "1", "2")[1] == ["-xa -x1", "-xa -x2"]
    assert run("", "echo", ":::", "a", ":::", ":::", "b") == (0, [], "")


def test_combinations_of_files(run, tmp_path):
    for name in "xy":
        (tmp_path / name).write_text(f"{name}1\n{name}2\n")
    expected = ["x1 y1", "x1 y2", "x2 y1", "x2 y2"]
    assert run("", "-k", "echo", "::::", tmp_path / "x", tmp_path / "y")[1] == expected
    assert run("", "-k", "-a", tmp_path / "x", "-a", tmp_path / "y", "echo")[1] == expected
    assert run("", "-k", "-a", tmp_path / "x", "echo", "::::", tmp_path / "y")[1] == expected
    code, lines, err = run("", "echo", "::::", tmp_path / "x", tmp_path / "nothing")
    assert (code, lines) == (125, []) and "nothing" in err


def test_tag_of_several(run):
    assert run("1\n2\n", "-n2", "--tag", "echo", "x", "{1}")[1] == ["1 2\tx 1"]


# ---- how many at a time ----

@pytest.mark.parametrize("jobs", ["0", "50%", "100%", "300%", "+1", "-1", "-1000", "1%"])
def test_jobs(run, jobs):
    for option in ["-j", jobs], [f"-P{jobs}"], [f"--jobs={jobs}"]:
        assert run("a\n", *option, "echo") == (0, ["a"], "")


def test_jobs_of_cpus(run):
    """Their number shows in the slots of processes that wait for each other."""
    cpus = len(os.sched_getaffinity(0))
    for jobs, expected in ("0", 20), ("+2", cpus + 2), ("200%", 2 * cpus), (f"-{cpus}", 1):
        expected = min(expected, 20)
        meet = 'mkdir -p "$0"; touch "$0/$1"; until [ "$(ls "$0" | wc -l)" -ge "$2" ]; do sleep 0.01; done'
        directory = os.path.join(os.environ["TMPDIR"], jobs)
        items = "".join(f"{i}\n" for i in range(20))
        assert run(items, "-j", jobs, "sh", "-c", meet, directory, "{}", expected)[0] == 0
        subprocess.run(["rm", "-r", directory], check=True)


@pytest.mark.parametrize("jobs", ["x", "", "%", "0%", "-", "+", "1.5", "5%x", "+5%", "100000", " 1"])
def test_jobs_that_are_none(run, jobs):
    code, lines, err = run("a\n", "-j", jobs, "echo")
    assert (code, lines) == (125, []) and f"--jobs: '{jobs}'" in err and "50%" in err


# ---- the dry run ----

def test_dry_run_can_be_pasted(run):
    items = ["a b", "it's", "$x", "\033[31m", "\u009b", "\u20ac", "a\tb", "back\\slash\a"]
    code, lines, err = run("\0".join(items), "-0", "--dry-run", "printf", "%s")
    text = "\n".join(lines)
    assert (code, err) == (0, "") and not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in
                                              text.replace("\n", ""))
    result = subprocess.run(["bash"], input=text.encode(), capture_output=True, timeout=LIMIT, check=True)
    assert result.stdout.decode() == "".join(items)


# ---- other tools' habits ----

@pytest.mark.parametrize("habit, hint", [
    (["-I{}"], "{}"), (["-I", "%"], "{}"), (["-i"], "{}"), (["-L1"], "-n N"), (["-L", "1"], "-n N"), (["-d,"], "-0"),
    (["-r"], "leave the option out"), (["-N2"], "-n N"), (["-m"], "-X"), (["--joblog", "x"], "--json"),
    (["--joblog=x"], "--json"), (["--keep-order"], "-k"), (["--colsep", ","], ":::"), (["-kr"], "leave the option out"),
    (["--no-run-if-empty"], "leave the option out")])
def test_hints(run, habit, hint):
    code, lines, err = run("a\n", *habit, "echo")
    assert (code, lines) == (125, []) and hint in err and err.count("\n") == 1


@pytest.mark.parametrize("words, names", [
    (["-n0", "echo"], "--max-args"), (["-n", "x", "echo"], "--max-args"),
    (["-n2", "echo", ":::", "a", ":::", "b"], "-n"),
    (["-X", "echo", "::::", "a", "b"], "-X"), ([":::", "a"], "PROGRAM"), (["-n"], "needs an argument")])
def test_misuse(run, words, names):
    code, lines, err = run("a\n", *words)
    assert (code, lines) == (125, []) and names in err and err.count("\n") == 1


def test_dry_run_of_lists(run):
    _, lines, _ = run("", "--dry-run", "cp", "{1}", "{2}/{1/}", ":::", "a b/c", ":::", "d")
    assert [shlex.split(line) for line in lines] == [["cp", "a b/c", "d/c"]]


def test_lists_cannot_be_linked(forkserver):
    result = subprocess.run([forkserver, "map", "echo", ":::", "1", ":::+", "a"], capture_output=True, text=True)
    assert result.returncode == 125 and "':::+': lists cannot be linked" in result.stderr
