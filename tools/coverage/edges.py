# SPDX-License-Identifier: MIT
"""A plugin of pytest's: notes for each test its outcome, its seconds and the edges that ran, in a line of JSON.
(choose-tests)"""

import json
import os
import pathlib
import time

import pytest

OUT = os.environ.pop("FORKSERVER_COVERAGE", None)
os.environ.pop("PYTEST_ADDOPTS", None)  # not for a pytest that a test starts
FILES = pathlib.Path("/tmp/forkserver-coverage")  # coverage.c
OF_TESTS = ("deny", "machine", "init")


def clear():
    FILES.mkdir(exist_ok=True)
    FILES.chmod(0o777)
    for path in FILES.iterdir():
        path.write_bytes(bytes(path.stat().st_size)) if path.stat().st_size else None


def edges():
    """{object: numbers}; of objects that are the project's own."""
    found = {path.name: [i for i, byte in enumerate(path.read_bytes()) if byte] for path in FILES.iterdir()}
    return {name: numbers for name, numbers in found.items() if numbers and name not in OF_TESTS}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    item.outcomes = []
    clear()
    begin = time.monotonic()
    yield
    seconds = time.monotonic() - begin
    line = {"test": "tests/" + item.nodeid.split("tests/")[-1], "outcome": item.outcomes, "seconds": round(seconds, 2),
            "edges": edges()}
    with open(OUT, "a") as file:  # a line at a time: other files of tests write to it too
        file.write(json.dumps(line) + "\n")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.when == "call" or report.outcome != "passed":
        item.outcomes.append(report.outcome)
