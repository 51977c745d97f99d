# SPDX-License-Identifier: MIT
"""What `forkserver help` and `forkserver COMMAND --help` say, taken apart: the one source of the pages of the commands
and of the completions. Nothing here knows a command or an option by name, but for `help` itself."""
import dataclasses
import os
import re
import subprocess
import tempfile

OPTION_LINE = re.compile(r" {2,6}-")
EXIT_CODE = "Exit code:"
# The program's own complaint of a word that it doesn't know lists those that it knows.
KNOWN_WORDS = re.compile(r"'\?' is (?:none of (.+)|no profile: (.+) are)$")
# Arguments of which there is no list to complain of, and which may be opened.
FREE = re.compile(r"(M|MODULE|FILE|PATH|DIR|TARGET|USER|GROUP)\b|MODULE:FUNCTION")


@dataclasses.dataclass
class Word:
    """As "read=PATH", or "kill"."""
    name: str
    argument: str
    words: list


@dataclasses.dataclass
class Option:
    names: list  # "-j", "-P", "--jobs"
    argument: str  # "N"; "": it takes none
    text: str = ""
    words: list = dataclasses.field(default_factory=list)  # that its argument may be
    more: list = dataclasses.field(default_factory=list)  # Word objects, which may follow behind commas


@dataclasses.dataclass
class Entry:
    """One or several options with one text."""
    options: list
    text: str = ""


@dataclasses.dataclass
class Block:
    """Lines without an empty one between. Each item is a paragraph (str), an Entry, or a term with its text (tuple)."""
    items: list


@dataclasses.dataclass
class Command:
    name: str  # "": the program itself
    summary: str
    usage: list
    blocks: list

    def entries(self):
        return [item for block in self.blocks for item in block.items if isinstance(item, Entry)]

    def options(self):
        return [option for entry in self.entries() for option in entry.options]

    def terms(self):
        """Lists of terms, one for each block that has some."""
        lists = [[item for item in block.items if isinstance(item, tuple)] for block in self.blocks]
        return [terms for terms in lists if terms]

    def operands(self):
        """What each form of use takes behind its options: [("", ["PROGRAM", "[ARG]..."]), ("--call", ["[ARG]..."])]"""
        result = []
        for line in self.usage:
            before, found, after = line.partition("[OPTION]...")
            if not found:  # only options that it has to have
                after = re.sub(r"\[?--[a-z-]+( [A-Z]+)?\]?", "", " ".join(before.split()[2:]))
            words = [word for word in after.split() if word != "[--]" and word[0] not in "<>"]
            option = words[0] if words and words[0].startswith("--") else ""
            result.append((option, words[2:] if option else words))
        return result


def split_columns(line):
    return re.split(r" {2,}", line.strip())


def read_options(head):
    """ "-j, -P, --jobs N" is one option, "--reuid USER, --clear-groups" are two."""
    options, names = [], []
    for part in head.split(", "):
        name, _, argument = part.partition(" ")
        names.append(name)
        if name.startswith("--") or argument:
            options.append(Option(names, argument))
            names = []
    return options + ([Option(names, "")] if names else [])


class Reader:
    """Takes the lines of one block."""

    def __init__(self):
        self.items = []
        self.head = ""  # of an entry or a term that goes on in the next line
        self.at = 0  # the column where that begins

    def take(self, line):
        indent = len(line) - len(line.lstrip())
        # what wraps below an option or a term is deeper than it
        goes_on = self.items and not isinstance(self.items[-1], str) and indent > self.at
        if self.head:
            self.take_head(line, *split_columns(line))
        elif indent == 0:
            self.take_text(line)
        elif OPTION_LINE.match(line) and not (goes_on and self.at >= 2 and indent > 6):
            self.at = indent
            self.take_head(line, *split_columns(line))
        elif goes_on:
            self.add_text(line.strip())
        else:
            self.at = indent
            self.take_head(line, *split_columns(line))

    def take_text(self, line):
        if self.items and isinstance(self.items[-1], str) and not line.startswith(EXIT_CODE):
            self.items[-1] += " " + line
        else:
            self.items.append(line)

    def take_head(self, line, head, *texts):
        self.head += head
        if self.head.endswith(",") and not texts:
            self.head += " "
            return
        head, self.head = self.head, ""
        if OPTION_LINE.match(line):
            if len(texts) > 1:
                raise ValueError(f"this line of a help has too many columns: {line}")
            self.items.append(Entry(read_options(head), "".join(texts)))
            return
        # a table of several columns is one of pairs
        columns = [head, *texts, *[""] * (len(texts) % 2 == 0)]
        self.items += zip(columns[::2], columns[1::2])

    def add_text(self, text):
        last = self.items[-1]
        if isinstance(last, Entry):
            last.text = f"{last.text} {text}".lstrip()
        else:
            self.items[-1] = last[0], f"{last[1]} {text}".lstrip()


def read_block(lines):
    reader = Reader()
    for line in lines:
        reader.take(line)
    if reader.head:
        raise ValueError(f"a list ends with a comma: {reader.head}")
    return Block(reader.items)


def read_help(name, summary, text):
    groups = [group.split("\n") for group in text.rstrip("\n").split("\n\n")]
    first, usage = groups[0], []
    while first and re.match(r"Usage: |   or: | {7}forkserver ", first[0]):
        usage.append(first.pop(0)[7:])
    command = Command(name, summary, usage, [read_block(group) for group in groups if group])
    for entry in command.entries():
        for option in entry.options:
            option.text = entry.text
    return command


class Program:
    """The command, as it was built."""

    def __init__(self, path):
        self.path = os.path.abspath(path)

    def run(self, *words):
        with tempfile.TemporaryDirectory() as directory:  # what an option writes
            return subprocess.run([self.path, *words], cwd=directory, stdin=subprocess.DEVNULL, capture_output=True,
                                  encoding="utf-8", timeout=60, env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"})

    def ask(self, *words):
        result = self.run(*words)
        if result.returncode != 0 or result.stderr:
            raise ValueError(f"forkserver {' '.join(words)}: {result.stderr or result.returncode}")
        return result.stdout

    def known_words(self, *words):
        """Those that the complaint of the word `?`, the last one of these, names."""
        match = KNOWN_WORDS.search(self.run(*words).stderr.strip())
        known = re.split(", | and ", match[1] or match[2]) if match else []
        return known if all(re.fullmatch(r"[\w.-]+", word) for word in known) else []

    def find_words(self, command, known):
        """Options of the same name and argument take the same words, so that one command has to be asked. A list is
        looked at late: not every command without operands comes as far."""
        for option in command.options():
            key = option.names[-1], option.argument
            is_list = ",WORD" in option.argument
            if option.argument and not FREE.match(option.argument) and (key not in known or
                                                                        is_list and not known[key]):
                # elsewhere a second option, which isn't there, sees to it that nothing runs
                known[key] = self.known_words(command.name, option.names[-1], "?", *["--?"] * (not is_list))

    def find_more(self, command, option):
        """What may follow an option's word is in the list of terms that has those words, too."""
        for terms in command.terms():
            if not set(option.words) <= {term for term, _ in terms}:
                continue
            names = [name for term, _ in terms for name in term.split(", ") if name not in option.words]
            for name, _, argument in (name.partition("=") for name in names):
                value = f"{option.words[-1]},{name}=?" + (":1" if ":" in argument else "")
                known = argument and not re.match("PATH|FILE|TARGET", argument)
                yield Word(name, argument, self.known_words(command.name, option.names[-1], value) if known else [])

    def find_all_words(self, commands):
        words, more = {}, {}
        for command in commands:
            self.find_words(command, words)
        for command in commands:
            for option in command.options():
                key = option.names[-1], option.argument
                option.words = words.get(key, [])
                if option.words:
                    more[key] = more.get(key) or list(self.find_more(command, option))
        for command in commands:
            for option in command.options():
                option.more = more.get((option.names[-1], option.argument), [])

    def read(self):
        """Returns the program itself and its commands."""
        whole = read_help("", "", self.ask("help"))
        commands = []
        for terms in whole.terms():
            for name, summary in terms:
                if name == "help":
                    continue
                commands.append(read_help(name, summary, self.ask(name, "--help")))
        self.find_all_words(commands)
        return whole, commands
