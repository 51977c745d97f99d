# SPDX-License-Identifier: MIT
"""Text as scdoc(5) reads it."""
import re

WIDTH = 118
# A line must not begin with these: scdoc, or roff behind it, would take them for more than text.
NO_BEGINNING = tuple(".-#|;[]: \t")
# `code`, *a new word*, a function, an option: what is set apart in the text of a comment or a help.
MARKS = re.compile(r"`(?P<code>[^`\n]+)`|(?<!\w)\*(?P<word>\w[\w -]*\w)\*(?!\w)|(?P<call>\bfsrv_\w+)(?=\(\))|"
                   r"(?<![\w-])(?P<option>--[a-z][a-z-]*[a-z])\b")


def escape(text):
    return re.sub(r"([\\*_`+])", r"\\\1", text)


def bold(text):
    return f"*{escape(text)}*"


def mark(text):
    """Escapes a text, and sets parts of it apart."""
    result, at = "", 0
    for match in MARKS.finditer(text):
        strong = match["code"] or match["call"] or match["option"]
        result += escape(text[at:match.start()])
        result += bold(strong) if strong else f"_{escape(match['word'])}_"
        at = match.end()
    return result + escape(text[at:])


def wrap(text, indent=""):
    """One paragraph in lines. None of them begins with what would change its meaning."""
    lines, line = [], ""
    for word in text.split():
        if line and len(indent) + len(line) + 1 + len(word) > WIDTH and not word.startswith(NO_BEGINNING):
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    lines.append(line)
    if lines[0].startswith("."):
        raise ValueError(f"no paragraph can begin with a full stop: {text}")
    if lines[0].startswith(NO_BEGINNING):
        lines[0] = "\\" + lines[0]
    return [indent + line for line in lines]


def paragraph(text, indent=""):
    return [*wrap(text, indent), ""]


def literal(lines):
    return ["```", *(line.replace("\\", "\\\\") for line in lines), "```", ""]


def entry(head, text):
    """A head, which is marked up already, and what it means, a tab further in."""
    return [*wrap(head), *(wrap(text, "\t") if text else []), ""]
