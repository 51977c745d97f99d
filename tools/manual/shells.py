# SPDX-License-Identifier: MIT
"""The tables in the completions of three shells. What a shell does with its table is written by hand around it."""
import re

# What an argument is, by the word that the helps have for it. Those that are not here can't be completed.
KINDS = [
    ("MODULE:FUNCTION", "entry"),
    (r"M|MODULE|FILE|PATH(\[:TARGET\])?|TARGET|ARG|VALUE", "file"),
    ("DIR", "directory"),
    ("USER", "user"),
    ("GROUP", "group"),
    ("SIGNAL", "signal"),
    ("PROGRAM", "program"),
]
BRIEF = 60


def kind_of(argument):
    for pattern, kind in KINDS:
        if any(re.fullmatch(pattern, part) for part in argument.split("|")):  # as PATH|PORT
            return f"@{kind}"
    return ""


def words_of(option):
    """As "CPU=" where more has to follow."""
    return [f"{word}=" if re.match(r"\w+=", option.argument) else word for word in option.words]


def behind_of(option):
    """What may follow a word behind a comma: ["read=@file", "refuse=exec|network", "limit=CPU:|AS:", "kill"]."""
    result = []
    for word in option.more:
        values = [value + ":" * bool(re.match(r"\w+:\w", word.argument)) for value in word.words]
        result.append(f"{word.name}={'|'.join(values) or kind_of(word.argument)}" if word.argument else word.name)
    return result


def brief(text):
    """The first thought of a text; the rest is for the help."""
    thought = re.split(r"[.;:] | \(", text)[0]
    if len(thought) <= BRIEF:
        return thought
    return re.sub(r"[\s,]+\S*$", "", thought[:BRIEF]) + " …"


def operand_kinds(operands):
    """The kind of the first operand, and that of the others."""
    kinds = [kind_of(re.sub(r"^\[?([\w:]+).*$", r"\1", word)) for word in operands if not word.startswith("[:")]
    if len(kinds) < 2:
        return tuple(kinds * 2 if operands and operands[0].endswith("...") else [*kinds, "", ""][:2])
    return kinds[0], "@command" if kinds[0] == "@program" else kinds[1]


def forms_of(command):
    """The kinds of the two: as a rule, by "", and by an option that stands for the first one."""
    return {"": ("", ""), **{option: operand_kinds(operands) for option, operands in command.operands()}}
