# SPDX-License-Identifier: MIT
"""The table of completions/_forkserver: specifications as zshcompsys(1) has them for _arguments."""
import re

from shells import behind_of, brief, forms_of, kind_of, words_of

PATH = "completions/_forkserver"
ACTIONS = {"": " ", "@file": "_files", "@directory": "_files -/", "@user": "_users", "@group": "_groups",
           "@signal": "_signals -s", "@entry": "_forkserver_entry", "@program": "_forkserver_program",
           "@command": "_normal"}


def quote(text):
    return "'" + text.replace("'", "'\\''") + "'"


def escape(text):
    return re.sub(r"([\[\]:\\])", r"\\\1", text)


def action_of(option):
    words = words_of(option)
    if option.more:
        return f"_forkserver_listed {option.names[-1]}"
    if any(word.endswith("=") for word in words):
        return f"_forkserver_begun {' '.join(words)}"
    return f"({' '.join(words)})" if words else ACTIONS[kind_of(option.argument)]


def write_option(option):
    text = f"[{escape(brief(option.text))}]"
    for name in option.names:
        if option.argument:
            mark = "=" if name.startswith("--") else "+"
            yield quote(f"*{name}{mark}{text}:{escape(option.argument)}:{action_of(option)}")
        else:
            others = "- *" if "--help" in option.names or "--version" in option.names else " ".join(option.names)
            yield quote(f"({others}){name}{text}")


def write_command(command):
    yield f"    {quote(command.name)})"
    yield "        arguments=("
    for option in command.options():
        for specification in write_option(option):
            yield f"            {specification}"
    yield "        )"
    if command.name:
        for option, (first, rest) in forms_of(command).items():
            yield f"        operands[first{option}]={quote(ACTIONS[first])}"
            yield f"        operands[rest{option}]={quote(ACTIONS[rest])}"
    yield "        ;;"


def write_lists(commands):
    lists = {option.names[-1]: option for command in commands for option in command.options() if option.more}
    yield "_forkserver_list() {"
    yield "    case $1 in"
    for name, option in lists.items():
        yield f"    {quote(name)})"
        yield f"        first=({' '.join(words_of(option))})"
        yield "        behind=("
        for word in behind_of(option):
            yield f"            {quote(word)}"
        yield "        )"
        yield "        ;;"
    yield "    esac"
    yield "}"


def write(whole, commands):
    yield "_forkserver_table() {"
    yield "    case $1 in"
    for command in (whole, *commands):
        yield from write_command(command)
    yield "    *) return 1 ;;"
    yield "    esac"
    yield "}"
    yield ""
    yield "_forkserver_commands=("
    for command in commands:
        yield f"    {quote(f'{command.name}:{command.summary}')}"
    yield "    'help:show the help of a command'"
    yield ")"
    yield ""
    yield from write_lists(commands)
