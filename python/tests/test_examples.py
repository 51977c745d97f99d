# SPDX-License-Identifier: MIT
"""The examples that are in Python, as they are.
PYTHONPATH=<package> python3 -m unittest python/tests/test_examples.py"""

import os
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples")
LIMIT = 60 * int(os.environ.get("FORKSERVER_TEST_PATIENCE", "1"))

try:
    import PIL
except ImportError:
    PIL = None


def make_png(path, width, height):
    """A picture in black and white, of which a few bytes say many pixels."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + b"\xaa" * ((width + 7) // 8)
    compressor = zlib.compressobj(1)
    data = b"".join([*(compressor.compress(row) for _ in range(height)), compressor.flush()])
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)) +
                   chunk(b"IDAT", data) + chunk(b"IEND", b""))


@unittest.skipIf(PIL is None, "needs Pillow")
class Thumbnails(unittest.TestCase):
    def test_a_bomb_among_pictures(self):
        with tempfile.TemporaryDirectory(prefix="forkserver-thumbnails-") as directory:
            folder, target = os.path.join(directory, "pictures"), os.path.join(directory, "thumbnails")
            os.mkdir(folder)
            for i in range(5):
                make_png(os.path.join(folder, f"{i}.png"), 1000, 500)
            make_png(os.path.join(folder, "bomb.png"), 13000, 13000)
            with open(os.path.join(folder, "no picture"), "w") as file:
                file.write("text")
            result = subprocess.run([sys.executable, os.path.join(EXAMPLES, "thumbnails.py"), folder, target],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=LIMIT)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(sorted(result.stdout.splitlines()),
                             [*(f"{i}.png: 256 x 128" for i in range(5)), "bomb.png: MemoryError",
                              "no picture: UnidentifiedImageError"])
            self.assertEqual(len(os.listdir(target)), 5)


if __name__ == "__main__":
    unittest.main()
