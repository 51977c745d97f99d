# SPDX-License-Identifier: MIT
"""
The modes in which the integration tests run beside the plain one.

usage: modes.py run MODE [PYTEST…]     what follows, or the whole list, in that mode
       modes.py short MODE [FILE]      the tests that differ there (of that file): tests/modes/MODE, which
                                       tools/choose-tests writes
       modes.py missed MODE FILE       whether all that the mode denies was missed, by what FILE has of several runs

FORKSERVER_BUILD       the build directory (default: build, in the repository); of mode asan, a sanitized one
FORKSERVER_TEST_MODE   instead of MODE "env": what a Meson test set-up says
FORKSERVER_TEST_HITS   a file that gets how often each denied feature was asked for
"""

import collections
import os
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parent
BUILD = TESTS.parent / os.environ.get("FORKSERVER_BUILD", "build")

# What kernels and file systems have lacked since 5.10, and what sandboxes hide.
OLDEST = ("sud close_range clone3 pidfd_info pidfd_group pagemap_scan populate collapse pwritev2 tmpfile "
          "futex_waitv").split()
# Without clone3 glibc makes threads only if it is told ENOSYS; no sandbox refuses a temporary file for having no name.
SANDBOX = "loan sud close_range pidfd_info pagemap_scan populate collapse pwritev2".split()

Mode = collections.namedtuple("Mode", "deny errno count", defaults=((), None, False))
MODES = {
    "plain": Mode(),
    "asan": Mode(),  # the build is another
    "oldest": Mode(OLDEST, None, True),
    "eperm": Mode(SANDBOX, "EPERM", True),
    "einval": Mode(SANDBOX, "EINVAL", True),
    "twice": Mode(["sud"]),  # programs where standbys are forked twice, as on other machines than x86-64
}


SKIPPED = 77  # Meson's


def chosen(mode, *files):
    """The tests of a mode's short form."""
    lines = (TESTS / "modes" / mode).read_text(encoding="utf-8").splitlines()
    tests = [str(TESTS.parent / line) for line in lines if line and not line.startswith("#")]
    wanted = [test for test in tests if not files or test.split("::")[0] in files]
    return wanted or sys.exit(SKIPPED)


def denying(mode, count):
    """The words before a command, below which the mode is in force. A run that doesn't miss all that is denied shows
    nothing, so it fails; of several runs, each of which may miss a part, a file has the sum."""
    if not mode.deny:
        return []
    words = [str(BUILD / "tests" / "deny")]
    if mode.errno:
        words += ["--errno", mode.errno]
    if count and mode.count:
        words += ["--count", str(BUILD)]
    return [*words, *mode.deny, "--"]


def run(name, tests, whole):
    mode = MODES[name]
    os.environ["FORKSERVER_BUILD"] = str(BUILD)
    os.chdir(TESTS.parent)
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *(tests or [str(TESTS)])]
    count = whole or "FORKSERVER_TEST_HITS" in os.environ
    command = [*denying(mode, count), *command]
    os.execv(command[0], command)


def missed(name, path):
    """Exit code 1 if something that was denied was never asked for."""
    hits = collections.Counter()
    for line in pathlib.Path(path).read_text().splitlines():
        feature, n = line.split()
        hits[feature] += int(n)
    print(f"{name}: " + ", ".join(f"{feature} was missed {hits[feature]} times" for feature in MODES[name].deny))
    return 0 if all(hits[feature] for feature in MODES[name].deny) else 1


def main():
    words = sys.argv[1:]
    if len(words) < 2 or words[0] not in ("run", "short", "missed") or words[1] not in (*MODES, "env"):
        sys.exit(__doc__.strip())
    action, name, *rest = words
    if name == "env":
        name = os.environ.get("FORKSERVER_TEST_MODE", "plain")
    if action == "missed":
        return missed(name, *rest)
    return run(name, chosen(name, *rest) if action == "short" else rest, action == "short" or not rest)


if __name__ == "__main__":
    sys.exit(main())
