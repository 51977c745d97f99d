# SPDX-License-Identifier: MIT
"""examples/consumer.c, with a queue of its own: what succeeds is deleted, what dies comes again, poison is buried."""

import re
import shutil
import socket
import subprocess

import pytest

from spawner import LIMIT, eventually

BEANSTALKD = shutil.which("beanstalkd", path="/usr/bin:/usr/local/bin")


class Queue:
    """One connection to beanstalkd."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), LIMIT)
        self.file = self.socket.makefile("rwb")

    def ask(self, text, begin):
        self.file.write(text.encode())
        self.file.flush()
        answer = self.file.readline().decode()
        assert answer.startswith(begin), answer
        return answer.split()

    def put(self, body, seconds=60):
        return self.ask(f"put 0 0 {seconds} {len(body)}\r\n{body}\r\n", "INSERTED")[1]

    def stats(self, tube="default"):
        size = int(self.ask(f"stats-tube {tube}\r\n", "OK")[1])
        text = self.file.read(size + 2).decode()
        return {name: int(n) for name, n in re.findall(r"^current-jobs-(\w+): (\d+)$", text, re.MULTILINE)}

    def take(self):
        """A result: the job and its text."""
        _, number, size = self.ask(f"reserve-with-timeout {LIMIT:.0f}\r\n", "RESERVED")
        body = self.file.read(int(size) + 2).decode().strip()
        self.ask(f"delete {number}\r\n", "DELETED")
        return body.split(" ", 1)

    def close(self):
        self.file.close()
        self.socket.close()


def listens(number):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", number)) == 0


@pytest.fixture
def most():
    """The bytes that the queue takes for a job."""
    return 65535


@pytest.fixture
def port(most):
    """A port of loopback at which a queue listens."""
    if not BEANSTALKD:
        pytest.skip("beanstalkd is not there (its Debian package has this name)")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        number = listener.getsockname()[1]
    process = subprocess.Popen([BEANSTALKD, "-l", "127.0.0.1", "-p", str(number), "-z", str(most)],
                               stderr=subprocess.DEVNULL)
    eventually(lambda: listens(number))
    yield number
    process.kill()
    process.wait()


@pytest.fixture
def queue(port):
    queue = Queue(port)
    queue.ask("watch results\r\n", "WATCHING")
    queue.ask("ignore default\r\n", "WATCHING")
    yield queue
    queue.close()


@pytest.fixture
def start(build, port, tmp_path):
    processes = []

    def start_consumer(*words):
        with open(tmp_path / "errors", "ab") as errors:
            processes.append(subprocess.Popen([build / "examples/consumer", "127.0.0.1", str(port), *words],
                                              stderr=errors))
        return processes[-1]
    yield start_consumer
    for process in processes:
        process.kill()
        process.wait()


def test_results(queue, start):
    start()
    jobs = {queue.put(text): words for text, words in (("a b  c", 3), ("", 0), ("word" * 10_000, 1))}
    assert {job: int(text.split()[0]) for job, text in (queue.take() for _ in jobs)} == jobs
    eventually(lambda: not any(queue.stats().values()))


def test_poison_is_buried(queue, start, tmp_path):
    """After as many tries as were asked for, and the others get their results."""
    start("2")
    poison, good = queue.put("crash"), queue.put("fine")
    assert queue.take() == [good, "1 words"]
    eventually(lambda: queue.stats()["buried"] == 1)
    text = f"job {poison}: the process was killed by SIGABRT"
    first, second = (tmp_path / "errors").read_text().splitlines()
    assert first.startswith(text) and second.startswith(text) and second.endswith("; it is buried")
    eventually(lambda: sum(queue.stats().values()) == 1)  # the good one is deleted after its answer


def test_job_that_hangs(queue, start, tmp_path):
    """Its process ends before the queue would give it to another consumer."""
    start("1")
    job = queue.put("hang", seconds=2)
    eventually(lambda: queue.stats()["buried"] == 1)
    assert re.fullmatch(rf"job {job}: .* time .*; it is buried\n", (tmp_path / "errors").read_text())


@pytest.mark.parametrize("most", [8])
def test_result_that_the_queue_does_not_take(queue, start, tmp_path):
    start("1")
    job = queue.put("a")
    eventually(lambda: queue.stats()["buried"] == 1)
    assert (tmp_path / "errors").read_text() == (
        f"job {job}: the queue does not take its result: JOB_TOO_BIG; it is buried\n")


def test_consumer_that_is_killed(queue, start):
    """What it held is another one's. What was answered and not deleted yet may be answered twice."""
    first = start()
    jobs = {queue.put(f"job {number}") for number in range(300)}
    answered = [queue.take()[0] for _ in range(20)]
    first.kill()
    start()
    while set(answered) != jobs:
        answered.append(queue.take()[0])
    assert len(answered) <= len(jobs) + 1
    eventually(lambda: not any(queue.stats().values()))


def test_no_queue(build):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        words = [build / "examples/consumer", "127.0.0.1", str(unused.getsockname()[1])]
        result = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT)
    assert (result.returncode, result.stderr) == (1, "consumer: the queue does not answer\n")
