# SPDX-License-Identifier: MIT
"""The index of the demo's search: made of the texts of this machine."""

import os
import random

import screen

FOLDERS = ["/usr/share/doc", "/usr/include", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/share/perl"]
LARGEST = 200_000  # bytes that are read of a file
# Letters become small ones, and all else becomes a space.
_LETTERS = bytes(code | 32 if chr(code).isalpha() and code < 128 else 32 for code in range(256))
_MIB = 1 << 20


def _files():
    for folder in FOLDERS:
        for directory, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(directory, name)
                if not os.path.islink(path) and path.isprintable():
                    yield path


def _texts():
    """Yields (path, words) of files that are text, and of invented ones after them."""
    for path in _files():
        try:
            with open(path, "rb") as file:
                text = file.read(LARGEST)
        except OSError:
            continue
        if b"\0" not in text:
            yield path, text.translate(_LETTERS).split()
    chance = random.Random(1)
    words = [bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for _ in range(20_000)]
    number = 0
    while True:
        number += 1
        yield f"invented/{number}", chance.choices(words, k=1_000)


def write_index(path, size):
    """Writes an index of about so many bytes. Returns (how many documents it has, how many of them are invented, some
    of their words)."""
    n = n_invented = written = 0
    some = []
    chance = random.Random(2)
    with open(path, "wb") as file:
        for name, words in _texts():
            long_words = [word for word in words[:1_000] if len(word) > 4]
            if long_words:
                some.append(chance.choice(long_words).decode())
            written += file.write(b"%s\t%s\n" % (os.fsencode(name), b" ".join(words)))
            n += 1
            n_invented += not name.startswith("/")
            screen.progress(f"making the index: {written // _MIB} of {size // _MIB} MiB")
            if written >= size:
                return n, n_invented, some


def make_queries(words, n):
    """Makes n queries of three words, all different."""
    chance = random.Random(3)
    queries = {}
    while len(queries) < n:
        queries[" ".join(chance.choices(words, k=3))] = None
    return list(queries)
