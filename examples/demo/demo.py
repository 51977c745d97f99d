# SPDX-License-Identifier: MIT
"""Shows what Forkserver is good for: three jobs, each beside the ordinary way. ./dev demo runs it.

usage: demo.py BUILD PICTURE      BUILD: the build directory; PICTURE: the file that the picture is written to

FORKSERVER_DEMO=small makes all of it smaller, for a test. It exits with 1 if anything came out that must not."""

import collections
import os
import resource
import shutil
import signal
import sys
import tempfile
import time

import calls
import reports
import screen
import search
from jobs import Wrong

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench"))
import plots  # noqa: E402

Size = collections.namedtuple("Size", "index queries queries_ordinary reports rows calls")
SIZES = {"": Size(160 << 20, 300, 30, 50, 5_000, 1_000), "small": Size(5 << 20, 20, 6, 6, 100, 100)}
JOBS = 4  # at most so many at a time: each program of the ordinary way has an index of its own
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POINTS = [1, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100, 200, 300]


def draw(path, curves):
    """Draws the time at which so many jobs had ended."""
    if not shutil.which("gnuplot"):
        screen.say("There is no picture, because gnuplot isn't installed.", 0)
        return
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    points = {name: [[n, times[n - 1]] for n in sorted({*POINTS, len(times)}) if n <= len(times)]
              for name, times in curves.items()}
    plots.plot(path, points, "time until so many jobs have ended, with all loading", "jobs", "seconds",
               key="below Left reverse")
    screen.say(f"The picture of time against number of jobs is {os.path.relpath(path)}.", 0)


def show(build, picture):
    size = SIZES[os.environ.get("FORKSERVER_DEMO", "")]
    n_jobs = min(len(os.sched_getaffinity(0)), JOBS)
    begin = time.monotonic()
    screen.say(f"Three jobs, each done in the ordinary way and by Forkserver, {n_jobs} processes at a time. "
               "The times are those of this machine, now.", 0)
    with tempfile.TemporaryDirectory(prefix="forkserver-demo-") as place:
        query_row, curves = search.show(place, build, n_jobs, size)
        report_row, more = reports.show(place, n_jobs, size)
        call_row = calls.show(n_jobs, size)
    screen.title("All together")
    screen.table([("what", "ordinary way", "Forkserver", "gain"), query_row, report_row, call_row])
    screen.write()
    draw(picture, {**curves, **more})
    screen.say(f"The demo took {time.monotonic() - begin:.0f} s.", 0)


def stop(*_):
    """Ends the demo, which removes what it has made, and isn't disturbed at that."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(build, picture):
    for number in STOPS:
        signal.signal(number, stop)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # for those that crash on purpose
    try:
        show(os.path.abspath(build), picture)
    except Wrong as error:
        screen.erase_progress()
        sys.exit(f"demo: this is wrong: {error}")
    except BrokenPipeError:  # `./dev demo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        screen.write("The demo was stopped.")
        sys.exit(130)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
