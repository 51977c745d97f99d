# SPDX-License-Identifier: MIT
"""Many spawns from one server: does it grow, or get slower?"""

import json
import os
import subprocess

from leftovers import PATIENCE, wait_for_processes

KIB = 256      # what a process may grow by: the allocator's, once
LIMIT = 10 * PATIENCE  # ms a spawn, before it is taken for hanging


def rules(data):
    start, middle, end = data["start"], data["middle"], data["end"]
    untold = max(0, data["spawns"] - data["right"])
    yield "statuses that are not right", data["wrong"] + data["lost"] + data["failed"] + untold
    for who in ("server", "zygote"):
        yield f"KiB that the {who} grew by", max(0, end[f"{who}_kib"] - start[f"{who}_kib"] - KIB)
        yield f"KiB that the {who} grew by in the second half", max(0, end[f"{who}_kib"] - middle[f"{who}_kib"] - KIB)
    for who in ("server", "zygote", "own"):
        yield f"fds more ({who})", max(0, end[f"{who}_fds"] - start[f"{who}_fds"])
    yield "children of the server that are neither zygote nor standby", end["children"] - start["children"]


def each(data, who, what):
    return " ".join(str(data[when][f"{who}_{what}"]) for when in ("start", "middle", "end"))


def run(build, spawns):
    command = [build / "tests" / "torture" / "torture-long", "--spawns", str(spawns), build / "tests" / "testmod.so"]
    limit = 60 * PATIENCE + spawns * LIMIT / 1000
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=limit,
                            env={**os.environ, "FORKSERVER_HELPERS": str(build / "src")})
    data = json.loads(result.stdout)
    left = wait_for_processes(10)
    broken = [f"{name}: {found}" for name, found in [*rules(data), ("processes left", len(left))] if found]
    sizes = [f"{who} {each(data, who, 'kib')} KiB, {each(data, who, 'fds')} fds" for who in ("server", "zygote")]
    print(f"{spawns} spawns in {data['seconds']:g} s; at the start, in the middle, at the end: {'; '.join(sizes)}; "
          f"a spawn and its status: {data['early']['median_us']:g} us at the start, "
          f"{data['late']['median_us']:g} at the end, "
          f"by turns with {data['fresh']['median_us']:g} from a new server", flush=True)
    return {**data, "broken": broken}
