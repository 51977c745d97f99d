#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes thumbnails of the pictures in a folder, each in a process of its own. One that crashes the library, hangs or
takes too much memory fails alone.

usage: thumbnails.py FOLDER TARGET"""

import sys
from concurrent.futures import as_completed
from pathlib import Path

import forkserver
from PIL import Image


def make_thumbnail(source, target):
    with Image.open(source) as image:
        image.thumbnail((256, 256))
        image.convert("RGB").save(target)
        return "%d x %d" % image.size


def main(folder, target):
    target.mkdir(exist_ok=True)
    # Image.init() loads the readers of all formats, once.
    with forkserver.Executor(preload=["PIL.Image"], prepare=Image.init, timeout=10, memory=128 << 20) as executor:
        tasks = {executor.submit(make_thumbnail, path, target / f"{path.name}.jpg"): path.name
                 for path in sorted(folder.iterdir())}
        for task in as_completed(tasks):
            error = task.exception()
            print(f"{tasks[task]}: {type(error).__name__ if error else task.result()}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
