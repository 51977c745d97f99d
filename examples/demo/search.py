# SPDX-License-Identifier: MIT
"""Part 1: a search index that takes long to load, and many queries."""

import os

import jobs
import screen
import texts
from jobs import check
from screen import seconds

CRASHING = "no-such-word"  # the query that search.c doesn't survive


def make_index(path, size):
    """Makes it, and says what it is. Returns some words of its documents."""
    n, n_invented, words = texts.write_index(path, size)
    invented = f" and of {n_invented:,} invented ones" if n_invented else ""
    screen.say(f"The index is a file of {os.path.getsize(path) >> 20} MiB: the words of {n - n_invented:,} texts of "
               f"this machine{invented}. The ordinary way is a program that loads it and answers one query.")
    return words


def run_theirs(program, index, n_jobs, queries, n):
    """Runs the program for these queries, of n. Returns the run."""
    command = ["xargs", "-d", "\\n", "-n", "1", "-P"]
    one = jobs.run([*command, "1", program, index], queries[:1])
    screen.say(f"One query takes {seconds(one.seconds)}, of which nearly all is the loading.")
    screen.show(f"xargs -P {n_jobs} -n 1 ./search INDEX < queries")
    theirs = jobs.run([*command, str(n_jobs), program, index], queries)
    check(theirs.code == 0 and len(theirs.lines) == len(queries), f"xargs exited with {theirs.code}: {theirs.errors}")
    screen.say(f"{len(queries)} queries took {seconds(theirs.seconds)}. "
               f"All {n} would take about {seconds(theirs.seconds / len(queries) * n)}. "
               "Given a query that makes the program crash, xargs doesn't go on to the next:")
    crashed = jobs.run([*command, "1", program, index], [CRASHING, queries[0]])
    check(crashed.code == 125 and not crashed.lines, f"xargs exited with {crashed.code}: {crashed.errors}")
    screen.show(crashed.errors.strip().replace(program, "./search"))
    return theirs


def run_ours(build, index, n_jobs, queries):
    module, helpers = os.path.join(build, "examples", "search.so"), os.path.join(build, "src")
    screen.show(f"forkserver map -j {n_jobs} --preload ./search.so --call ./search.so:query")
    ours = jobs.run([os.path.join(helpers, "forkserver"), "map", "-j", str(n_jobs), "--preload", module, "--call",
                     f"{module}:query"], queries, {"SEARCH_INDEX": index, "FORKSERVER_HELPERS": helpers})
    check(ours.code == 123, f"forkserver map exited with {ours.code}, not with 123: {ours.errors}")
    said = ours.errors.strip()
    check(said == f"forkserver: map: '{CRASHING}': killed by SIGSEGV", f"forkserver map said: {said}")
    answered = sorted(line.partition(":")[0] for line in ours.lines)
    check(answered == sorted({*queries} - {CRASHING}), f"there are answers to {len(answered)} queries")
    screen.say(f"{len(queries)} queries took {seconds(ours.seconds)}, with the loading. One of them made the code "
               "crash. Only its own process ended, and all others have their answers:")
    screen.show(said)
    return ours


def show(place, build, n_jobs, size):
    """Returns the table's row, and the picture's curves."""
    n, few, mebibytes = size.queries, size.queries_ordinary, size.index >> 20
    screen.title(f"1. A search index of {mebibytes} MiB: {n} queries, a process each")
    index = os.path.join(place, "index")
    queries = texts.make_queries(make_index(index, size.index), n - 1)
    theirs = run_theirs(os.path.join(build, "examples", "search"), index, n_jobs, queries[:few], n)
    ours = run_ours(build, index, n_jobs, [*queries[:n // 2], CRASHING, *queries[n // 2:]])
    check(set(theirs.lines) <= set(ours.lines), f"these answers differ: {set(theirs.lines) - set(ours.lines)}")
    screen.say(f"The answers to the {few} queries are the same, both ways.")
    all_theirs = theirs.seconds / few * n
    row = (f"{n} queries of an index of {mebibytes} MiB", f"about {seconds(all_theirs)}", seconds(ours.seconds),
           f"{all_theirs / ours.seconds:.0f} times")
    return row, {"queries: xargs, a program each": theirs.times, "queries: forkserver map": ours.times}
