# SPDX-License-Identifier: MIT
"""The table of completions/forkserver.bash: Bash's own words for what one command takes."""
import textwrap

from shells import behind_of, forms_of, kind_of, words_of

PATH = "completions/forkserver.bash"


def quote(text):
    return f"'{text}'" if not text or set(text) & set(" |()*~<>&;$`\"") else text


def write_array(name, words):
    if not words:
        return []
    return [" " * 8 + line for line in textwrap.wrap(f"{name}=({' '.join(words)})", 112, subsequent_indent="    ",
                                                     break_on_hyphens=False, break_long_words=False)]


def write_case(command):
    flags = [name for option in command.options() if not option.argument for name in option.names]
    takes, behind = [], []
    for option in command.options():
        if not option.argument:
            continue
        value = " ".join(words_of(option)) or kind_of(option.argument)
        takes += [f"[{name}]={quote(value)}" for name in option.names]
        behind += [f"[{name}]={quote(' '.join(behind_of(option)))}" for name in option.names if option.more]
    forms = forms_of(command)
    lines = write_array("flags", flags) + write_array("takes", takes) + write_array("behind", behind)
    lines += write_array("operands", [quote(kind) for kind in forms.pop("") if kind])
    lines += write_array("instead", [f"[{option}]={quote(' '.join(kinds))}" for option, kinds in forms.items()])
    return [f"    {quote(command.name)})", *lines, "        ;;"]


def write(whole, commands):
    names = [command.name for command in commands]
    lines = write_array("commands", [*names, "help"])
    yield "_forkserver_table() {"
    yield "    case $1 in"
    first = write_case(whole)
    yield from [first[0], *lines, *(line for line in first[1:] if "operands=" not in line)]
    for command in commands:
        yield from write_case(command)
    yield "    *) return 1 ;;"
    yield "    esac"
    yield "}"
