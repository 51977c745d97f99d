# SPDX-License-Identifier: MIT
"""`forkserver map --slice`: several runs share one list, as the elements of a job array do. What Slurm allocates."""

import json
import os
import pathlib
import signal
import subprocess

import pytest

from spawner import LIMIT, eventually


@pytest.fixture
def run(forkserver):
    """Runs map on an input: exit code, lines of standard output, standard error."""
    def run_map(items, *words):
        result = subprocess.run([forkserver, "map", *map(str, words)], input=items, text=True, capture_output=True,
                                timeout=LIMIT)
        return result.returncode, result.stdout.splitlines(), result.stderr
    return run_map


def lines(*items):
    return "".join(f"{item}\n" for item in items)


TEN = lines(*range(1, 11))


def test_every_nth(run):
    """Numbers are those of the whole list."""
    assert run(TEN, "--slice", "1/3", "-k", "echo", "{#}-{}") == (0, ["1-1", "4-4", "7-7", "10-10"], "")
    assert run(TEN, "--slice", "3/3", "-k", "echo", "{#}-{}") == (0, ["3-3", "6-6", "9-9"], "")
    assert run(TEN, "--slice", "1/1", "-k", "echo")[1] == [str(n) for n in range(1, 11)]


def test_more_slices_than_items(run):
    assert run("a\nb\n", "--slice", "2/5", "echo") == (0, ["b"], "")
    assert run("a\nb\n", "--slice", "3/5", "echo") == (0, [], "")


@pytest.mark.parametrize("options, words", [
    (["-n", "2"], []), (["-X"], []), ([], [":::", "a", "b", "c", ":::", "1", "2", "3"]), ([], [":::", *"abcdefg"]),
    (["--pipe", "--block", "6"], [])])
def test_together_they_are_the_whole(run, options, words):
    work = ["cat"] if "--pipe" in options else ["echo"]
    input = "" if words else TEN
    parts = [run(input, *options, "-k", "--slice", f"{k}/3", *work, *words)[1] for k in (1, 2, 3)]
    whole = run(input, *options, "-k", *work, *words)[1]
    assert all(parts) and whole
    assert sorted(" ".join(sum(parts, [])).split()) == sorted(" ".join(whole).split())
    if "-X" not in options:
        assert sorted(sum(parts, [])) == sorted(whole), "the processes get what they get without slices"


def test_fill_does_not_depend_on_jobs(run):
    """How many values a process gets does, and which slice a value is in doesn't."""
    for jobs in 1, 3, 8:
        assert sorted(" ".join(run(TEN, "-X", "-j", jobs, "--slice", "2/3", "echo")[1]).split()) == ["2", "5", "8"]


def test_number_with_several(run):
    assert run(TEN, "-n", 2, "--slice", "2/2", "-k", "echo", "{#}:", "{}")[1] == ["2: 3 4", "4: 7 8"]


def test_progress_counts_the_slice(run):
    _, _, err = run(TEN, "--slice", "2/3", "--progress", "true")
    assert "map: 3 done" in err


@pytest.mark.parametrize("text", ["0/3", "4/3", "x", "", "1", "1/", "/3", "1/0", "-1/3", "1/-3", " 1/3", "1/3x",
                                  "1/3/3", "+1/3", "1.5/3", "1/1000000001", "99999999999999999999/3"])
def test_not_a_slice(run, text):
    code, out, err = run(TEN, "--slice", text, "echo")
    assert (code, out) == (125, []) and f"'{text}' is not K/N" in err and err.count("\n") == 1


# ---- reports ----

FAIL = ["sh", "-c", "echo $0; [ ! -e $1/$0 ]"]


def test_resume(run, tmp_path):
    """Each slice has a report of its own."""
    report = tmp_path / "report"
    (tmp_path / "5").touch()
    once = ["-j1", "--quiet", "--slice", "2/3", "--json", report, "--resume", *FAIL, "{}", tmp_path]
    assert run(TEN, *once)[:2] == (123, ["2", "5", "8"])
    assert run(TEN, *once)[:2] == (123, ["5"])
    (tmp_path / "5").unlink()
    assert run(TEN, *once)[:2] == (0, ["5"])
    assert run(TEN, *once)[:2] == (0, [])


def test_equal_items_of_other_slices(run, tmp_path):
    """One success is good for one item of this slice: the others' aren't counted."""
    report = tmp_path / "report"
    words = ["-j1", "--slice", "2/2", "--json", report, "--resume", "echo"]
    assert run("a\na\na\n", *words)[1] == ["a"]
    assert run("a\na\na\na\n", *words)[1] == ["a"]


def test_list_that_changed(run, tmp_path):
    """Slices of two lists have gaps. All reports together are one report, and a last run does what none has done."""
    for k, items in (1, "abcdef"), (2, "xabcdef"):
        run(lines(*items), "--slice", f"{k}/2", "--json", tmp_path / f"{k}", "--resume", "echo")
    together = tmp_path / "all"
    together.write_bytes((tmp_path / "1").read_bytes() + (tmp_path / "2").read_bytes())
    assert run(lines(*"xabcdef"), "-k", "--json", together, "--resume", "echo")[1] == ["x", "b", "d", "f"]
    assert run(lines(*"xabcdef"), "--json", together, "--resume", "echo")[1] == []


def test_results_have_one_name_in_all_slices(run, module, tmp_path):
    """The same item again is NAME\\.2, also where the first one is another slice's."""
    for k in 1, 2:
        code, _, err = run("a\na\n", "--slice", f"{k}/2", "--preload", module("results"), "--call",
                           module("results") + ":echo", "--payload", "--result", tmp_path / "results")
        assert (code, err) == (0, "")
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["a", r"a\.2"]


# ---- in a job of Slurm ----

def run_below(forkserver, environment, *words):
    result = subprocess.run([forkserver, "map", "--timeout", "20", *map(str, words)], capture_output=True, text=True,
                            timeout=LIMIT, env=dict(os.environ, **environment))
    return result.returncode, sorted(result.stdout.split())


@pytest.mark.parametrize("environment", [
    {"SLURM_CPUS_PER_TASK": "1"}, {"SLURM_CPUS_PER_TASK": "1", "SLURM_CPUS_ON_NODE": "8"},
    {"SLURM_CPUS_PER_TASK": "", "SLURM_CPUS_ON_NODE": "1"}])
def test_allocated_cpus(forkserver, environment):
    work = ["sh", "-c", "sleep 0.01; echo $0", "{%}", ":::", *"abcd"]
    assert run_below(forkserver, environment, *work) == (0, ["1"] * 4)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU")
@pytest.mark.parametrize("text", ["0", "", "x", "1(x2)", "1000000"])
def test_cpus_of_the_mask(forkserver, tmp_path, text):
    """What isn't a number of CPUs counts for nothing, and no allocation makes more of them. Two items meet."""
    meet = 'touch "$0/$1"; until [ -e "$0/a" ] && [ -e "$0/b" ]; do sleep 0.01; done; echo $1'
    environment = {"SLURM_CPUS_PER_TASK": text, "SLURM_CPUS_ON_NODE": text}
    assert run_below(forkserver, environment, "sh", "-c", meet, tmp_path, "{}", ":::", "a", "b") == (0, ["a", "b"])


def test_sigterm_before_a_time_limit(forkserver, tmp_path):
    """What runs ends by itself and is in the report, nothing new starts, and the next run does the rest."""
    report = tmp_path / "report"
    words = [forkserver, "map", "-j1", "--json", report, "--resume", "sh", "-c",
             'touch "$0/$1"; until [ -e "$0/go" ]; do sleep 0.01; done; echo $1', tmp_path, "{}", ":::", "a", "b"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    eventually((tmp_path / "a").exists)
    process.terminate()
    (tmp_path / "go").touch()
    assert process.communicate(timeout=LIMIT)[0] == "a\n" and process.returncode == -signal.SIGTERM
    assert not (tmp_path / "b").exists() and report.read_text().count("\n") == 1
    assert subprocess.run(words, capture_output=True, text=True, timeout=LIMIT).stdout == "b\n"


def test_sigterm_to_the_whole_job(forkserver, tmp_path):
    """As a batch system sends it: the fork server's own processes get it too, and what is deaf to it ends by itself."""
    report, mark = tmp_path / "report", os.fsencode(tmp_path)
    words = [forkserver, "map", "-j1", "--json", report, "sh", "-c",
             'trap "" TERM; touch "$0/$1"; until [ -e "$0/go" ]; do sleep 0.01; done', tmp_path, "{}",
             ":::", "a", "b"]
    process = subprocess.Popen(words, env=dict(os.environ, FORKSERVER_TEST_MARK=tmp_path))
    eventually((tmp_path / "a").exists)
    for pid in os.listdir("/proc"):
        try:
            if pid.isdigit() and mark in pathlib.Path("/proc", pid, "environ").read_bytes():
                os.kill(int(pid), signal.SIGTERM)
        except OSError:
            pass  # another user's, or it has ended
    (tmp_path / "go").touch()
    assert process.wait(LIMIT) == -signal.SIGTERM
    [entry] = map(json.loads, report.read_text().splitlines())
    assert entry["item"] == "a" and entry["status"] == 0
    assert entry["rusage"]["maxrss"] > 0, "it is the server that told how it ended"
    assert not (tmp_path / "b").exists()
