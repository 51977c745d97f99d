#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Shows that the guards are needed: each patch here takes one remedy out, and the test that it names must fail.

usage: run.py [--jobs N] [NAME…]      (./dev mutants)

A patch begins with lines "# why: …" and "# test: tests/test_x.py::test_y", "# unit: codec" or "# fuzz: request", for
which five seconds have to do (several: one is enough). N trees are built, and each tries its part (one more than there
are processors).
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIMIT = 180

sys.path.insert(0, str(HERE.parent))
from leftovers import become_reaper, kill_all  # noqa: E402


def run(command, cwd, **more):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)


def copy_tree(target):
    listing = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT)
    if listing.returncode != 0:
        sys.exit("which files are the project's, only git knows: " + listing.stderr.strip())
    for name in filter(None, listing.stdout.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def tests_of(patch):
    lines = patch.read_text(encoding="utf-8").splitlines()
    tests = [line.split(":", 1) for line in lines if line.startswith(("# test:", "# unit:", "# fuzz:"))]
    return [(kind[2:], name.strip()) for kind, name in tests]


def passes(tree, kind, name):
    if kind == "unit":
        command = ["meson", "test", "-C", "build", "--no-rebuild", name]
    elif kind == "fuzz":
        command = ["./dev", "-y", "fuzz", "--seconds", "5", name]
    else:
        command = ["/usr/bin/python3", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", name]
    environment = {**os.environ, "FORKSERVER_BUILD": str(tree / "build")}
    try:
        result = run(command, tree, timeout=LIMIT, env=environment)
    except subprocess.TimeoutExpired:
        return False, "no end"
    finally:
        kill_all()  # a test that fails, or is cut off, may leave what it started
    if kind == "test" and result.returncode not in (0, 1):
        return None, result.stdout[-400:]  # pytest's own trouble: the test isn't there
    return result.returncode == 0, result.stdout[-4000:]


def build(tree):
    result = run(["ninja", "-C", "build"], tree)
    return result.returncode == 0, result.stdout[-800:]


def try_patch(tree, patch):
    """What came of it; "killed" is what we want."""
    before = run(["patch", "-p1", "--dry-run", "-i", patch], tree)
    if before.returncode != 0:
        return "does not apply"
    run(["patch", "-p1", "-i", patch], tree)
    try:
        built, text = build(tree)
        if not built:
            return "does not build: " + text
        for kind, name in tests_of(patch):
            ok, text = passes(tree, kind, name)
            if ok is None:
                return f"{name}: no such test: {text}"
            if not ok:
                return "killed"
        return "SURVIVED"
    finally:
        run(["patch", "-p1", "-R", "-i", patch], tree)


def try_all(patches):
    """In a tree of our own: how many were not killed."""
    become_reaper()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="forkserver-mutants-") as folder:
        os.chmod(folder, 0o755)  # some tests change their uid
        tree = Path(folder)
        copy_tree(tree)
        setup = run(["meson", "setup", "build", "-Dexamples=disabled"], tree)
        built, text = build(tree)
        if setup.returncode != 0 or not built:
            sys.exit("the tree itself does not build:\n" + setup.stdout[-800:] + text)
        for kind, name in sorted({test for patch in patches for test in tests_of(patch)}):
            ok, text = passes(tree, kind, name)
            if not ok:
                sys.exit(f"{name} fails without any patch:\n{text}")
        for patch in patches:
            outcome = try_patch(tree, patch)
            bad += outcome != "killed"
            print(f"{patch.stem:32} {outcome}", flush=True)
    return bad


def divide(patches, jobs):
    """The same by processes of this program, each alone: how many were not killed, and whether each came to its end."""
    command = [sys.executable, HERE.parent / "alone.py", sys.executable, Path(__file__).resolve(), "--jobs", "1"]
    parts = [[patch.stem for patch in patches[i::jobs]] for i in range(jobs)]
    running = [subprocess.Popen([*command, *part], stdin=subprocess.DEVNULL) for part in parts if part]
    return sum(process.wait() for process in running)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.strip().splitlines()[2].removeprefix("usage: "))
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 1)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    patches = sorted(HERE.glob("*.patch"))
    if options.names:
        unknown = set(options.names) - {patch.stem for patch in patches}
        if unknown:
            sys.exit("no such mutant: " + " ".join(sorted(unknown)))
        patches = [patch for patch in patches if patch.stem in options.names]
    if options.jobs == 1:
        return min(try_all(patches), 255)
    bad = divide(patches, options.jobs)
    print(f"{len(patches) - bad} passed, {bad} failed")
    return 1 if bad or not patches else 0


if __name__ == "__main__":
    sys.exit(main())
