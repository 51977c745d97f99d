# SPDX-License-Identifier: MIT
"""The table of completions/forkserver.fish: a `complete` for each option, command and operand."""
from shells import behind_of, brief, forms_of, kind_of, words_of

PATH = "completions/forkserver.fish"
ARGUMENTS = {"": "-x", "@file": "-r -F", "@directory": "-x -a '(__fish_complete_directories (__forkserver_token))'",
             "@user": "-x -a '(__fish_complete_users)'", "@group": "-x -a '(__fish_complete_groups)'",
             "@signal": "-x -a '(__forkserver_signals)'", "@entry": "-r -F -a '(__forkserver_functions)'"}
OPERANDS = {"@file": "-F", "@entry": "-F -a '(__forkserver_functions)'", "@program": "-f -a '(__forkserver_programs)'",
            "@command": "-f -a '(__forkserver_command_line)'"}


def quote(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def argument_of(option):
    if not option.argument:
        return ""
    if option.more:
        return f" -x -a '(__forkserver_listed {option.names[-1]})'"
    words = words_of(option)
    return f" -x -a {quote(' '.join(words))}" if words else " " + ARGUMENTS[kind_of(option.argument)]


def names_of(option):
    return " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)


def write_option(command, option):
    condition = quote(f"__forkserver_at {command.name or 'command'} option")
    return (f"complete -c forkserver -n {condition} {names_of(option)}{argument_of(option)} "
            f"-d {quote(brief(option.text))}")


def write_operands(command):
    forms = forms_of(command)
    others = " ".join(option for option in forms if option)
    for option, kinds in forms.items():
        for place, kind in zip(("first", "rest"), kinds):
            if kind:
                given = f" {option}" if option else f" not {others}" if others else ""
                condition = quote(f"__forkserver_at {command.name} {place}{given}")
                yield f"complete -c forkserver -n {condition} {OPERANDS[kind]}"


def write_lists(commands):
    lists = {option.names[-1]: option for command in commands for option in command.options() if option.more}
    yield "function __forkserver_list"
    yield "    switch $argv[1]"
    for name, option in lists.items():
        yield f"        case {name}"
        yield f"            printf '%s\\n' {' '.join(map(quote, words_of(option)))}"
        yield f"        case {name},"
        for word in behind_of(option):
            yield f"            echo {quote(word)}"
    yield "    end"
    yield "end"


def write(whole, commands):
    yield "function __forkserver_takes"
    yield "    switch $argv[1]"
    for command in commands:
        yield f"        case {command.name}"
        names = [name for option in command.options() if option.argument for name in option.names]
        yield f"            printf '%s\\n' {' '.join(names)}"
    yield "    end"
    yield "end"
    yield ""
    yield from write_lists(commands)
    yield ""
    for command in commands:
        yield f"complete -c forkserver -n __forkserver_at_name -f -a {command.name} -d {quote(command.summary)}"
    yield "complete -c forkserver -n '__forkserver_at command first' -f -a help -d 'show the help of a command'"
    for command in (whole, *commands):
        yield ""
        yield from (write_option(command, option) for option in command.options())
        if command.name:
            yield from write_operands(command)
