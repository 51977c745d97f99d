# SPDX-License-Identifier: MIT
"""What the demo prints: lines of 80 columns. On a terminal a line at the bottom tells how far it is."""

import os
import sys
import textwrap
import time

COLUMNS = 79
_MOMENT = 0.1  # seconds between two looks of the progress line
_is_terminal = sys.stdout.isatty()
_is_plain = not _is_terminal or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
_shown_at = 0.0


def _styled(text, style):
    return text if _is_plain else f"\x1b[{style}m{text}\x1b[0m"


def write(text=""):
    erase_progress()
    print(text, flush=True)


def title(text):
    write()
    write(_styled(text, 1))


def say(text, indent=3):
    """Prints sentences, folded."""
    for line in textwrap.wrap(text, COLUMNS - indent, break_on_hyphens=False):
        write(" " * indent + line)


def show(text):
    """Prints what is quoted: a command, or what a program printed."""
    for line in textwrap.wrap(text, COLUMNS - 5, subsequent_indent="  ", break_on_hyphens=False):
        write(_styled(f"     {line}", 2))


def seconds(value):
    digits = 2 if value < 1 else int(value < 20)
    return f"{value:.{digits}f} s"


def progress(text, is_last=False):
    global _shown_at
    if _is_terminal and (is_last or time.monotonic() - _shown_at > _MOMENT):
        _shown_at = time.monotonic()
        print(f"\r\x1b[K     {text[:COLUMNS - 5]}", end="", flush=True)


def erase_progress():
    global _shown_at
    if _is_terminal and _shown_at:
        _shown_at = 0.0
        print("\r\x1b[K", end="", flush=True)


def table(rows):
    """Prints rows of texts; the first has the headings. All columns but the first stand to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        line = "  ".join(cells).rstrip()
        write(_styled(line, 1) if number == 0 else line)
        if number == 0:
            write("-" * (sum(widths) + 2 * (len(widths) - 1)))
