# SPDX-License-Identifier: MIT
"""The pages of section 1: one for each command, and one for the program."""
import re

import helps
from scd import bold, entry, escape, mark, paragraph, wrap

PROGRAM = "forkserver"


def page_of(command):
    return f"{PROGRAM}-{command.name}" if command.name else PROGRAM


def usage_line(text):
    """ "forkserver run [OPTION]..." with its fixed words in bold and its variables underlined."""
    result = []
    for word in text.split():
        if re.search("[A-Z]", word):
            result.append(re.sub(r"[A-Z][A-Z:]*", lambda match: f"_{match[0]}_", escape(word)))
        else:
            result.append(re.sub(r"[a-z:-]+", lambda match: f"*{match[0]}*", word))
    return " ".join(result).replace("* *", " ")


def option_head(option):
    names = ", ".join(bold(name) for name in option.names)
    return f"{names} _{escape(option.argument)}_" if option.argument else names


def write_item(item):
    if isinstance(item, str):
        return paragraph(mark(item))
    if isinstance(item, helps.Entry):
        return entry(", ".join(option_head(option) for option in item.options), mark(item.text))
    term, text = item
    return entry(bold(term), mark(text))


def section(title, lines):
    return [f"# {title}", "", *lines] if lines else []


def section_of(item, block, after_options):
    """Where a page has what the help says at this place."""
    if isinstance(item, str) and item.startswith(helps.EXIT_CODE):
        return "EXIT STATUS"
    if any(isinstance(one, helps.Entry) for one in block.items):
        return "OPTIONS"
    if isinstance(block.items[0], str) and block.items[0] == "Commands:":
        return "COMMANDS"
    return "NOTES" if after_options else "DESCRIPTION"


def command_term(item):
    """The command's own page says more."""
    name, summary = item
    head = bold(name) if name == "help" else f"{bold(f'{PROGRAM}-{name}')}(1)"
    return entry(head, mark(summary))


def sort_items(command):
    parts = {"DESCRIPTION": [], "COMMANDS": [], "OPTIONS": [], "NOTES": [], "EXIT STATUS": []}
    after = False
    for block in command.blocks:
        for item in block.items:
            part = section_of(item, block, after)
            if part == "COMMANDS":
                parts[part] += [] if isinstance(item, str) else command_term(item)
            elif part == "EXIT STATUS":
                text = item[len(helps.EXIT_CODE):].strip()
                parts[part] += paragraph(mark(text[0].upper() + text[1:]))
            else:
                parts[part] += write_item(item)
        after = after or any(isinstance(item, helps.Entry) for item in block.items)
    return parts


def write_page(command, summary):
    usage = [f"{line}++" for line in map(usage_line, command.usage)]
    usage[-1] = usage[-1][:-2]
    lines = section("NAME", wrap(f"{page_of(command)} - {mark(summary)}") + [""]) + section("SYNOPSIS", usage + [""])
    for title, content in sort_items(command).items():
        lines += section(title, content)
    return lines


def write_pages(whole, commands):
    """Yields the name of each page with its lines."""
    (summary,) = [item for item in whole.blocks[0].items if isinstance(item, str)]
    summary = summary[0].lower() + summary[1:].rstrip(".")
    yield f"{PROGRAM}.1", write_page(whole, summary)
    for command in commands:
        # in the list of all commands "such" is about the line above
        yield f"{page_of(command)}.1", write_page(command, command.summary.replace("such a server", "a named server"))
