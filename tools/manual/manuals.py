# SPDX-License-Identifier: MIT
"""All files that tools/manual writes, as they should be now."""
import glob
import os
import re

import bash_table
import call_pages
import command_pages
import header
import fish_table
import helps
import zsh_table
from scd import bold, entry, mark

PAGES = "doc/man"
HEADERS = ("include/forkserver.h", "include/forkserver-host.h")
BEGIN = "tools/manual writes what follows"
END = "the end of what tools/manual writes"
SEE_ALSO = {"1": "*forkserver*(1), *forkserver*(7)", "3": "*libforkserver*(3), *forkserver*(7)"}


def between_markers(path, text, source, lines, comment):
    """The text with these lines between its two markers, the first of which names their source."""
    pattern = re.compile(rf"^{comment} {re.escape(BEGIN)}, from [^\n]*\n.*?^{comment} {re.escape(END)}\n",
                         re.MULTILINE | re.DOTALL)
    content = "\n".join([f"{comment} {BEGIN}, from {source}", *lines, f"{comment} {END}"]) + "\n"
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"{path}: its two markers are missing")
    return pattern.sub(lambda match: content, text)


class Manual:
    """Collects the pages. A page that is there already keeps what was written into it by hand."""

    def __init__(self, root):
        self.root = root
        self.files = {}
        self.sources = {}  # what a page is written from: the page
        for path in glob.glob(os.path.join(root, PAGES, "*.scd")):
            source = re.search(rf"^; {re.escape(BEGIN)}, from ([^\n]*)$", self.read(path), re.MULTILINE)
            if not source or source[1] in self.sources:
                raise ValueError(f"{path}: it has no marker, or that of another page")
            self.sources[source[1]] = os.path.basename(path)[:-len(".scd")]

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def page_for(self, source, default):
        """Its name is chosen by hand: by renaming its file."""
        return self.sources.get(source, default)

    def purpose_of(self, source, default):
        """What a page is about may be said by hand, in a comment "; purpose: …"."""
        match = source in self.sources and re.search(r"^; purpose: (.*)$", self.read(
            f"{PAGES}/{self.sources[source]}.scd"), re.MULTILINE)
        return match[1] if match else default

    def add(self, page, source, lines):
        path = f"{PAGES}/{page}.scd"
        name, _, number = page.rpartition(".")
        title = f'{name}({number}) "Forkserver" "Forkserver\'s manual"\n'
        if source in self.sources:
            text = title + self.read(path).partition("\n")[2]
        else:
            text = f"{title}\n; {BEGIN}, from nothing\n; {END}\n\n# SEE ALSO\n\n{SEE_ALSO.get(number, '')}\n"
        self.files[path] = between_markers(path, text, source, ["", *lines], ";")

    def add_commands(self, whole, commands):
        for command, (page, lines) in zip([whole, *commands], command_pages.write_pages(whole, commands)):
            self.add(page, f"forkserver {command.name or 'help'}" + (" --help" if command.name else ""), lines)

    def add_calls(self):
        public, host = (header.Header(os.path.join(self.root, path)) for path in HEADERS)
        pages = []
        for section in public.sections[1:]:
            source = f"the section \"{section.title}\" of forkserver.h"
            page = self.page_for(source, f"{call_pages.page_name(section.title)}.3")
            pages.append((page[:-2], section))
            purpose = self.purpose_of(source, f"libforkserver: {call_pages.title_in_a_sentence(section.title)}")
            self.add(page, source, call_pages.write_section(page[:-2], public, section, purpose))
        host_section = header.Section("", [group for group in host.sections[0].groups
                                           if group.names("define") != ["FORKSERVER_HOST_H"]])
        pages.append(("forkserver-host", host_section))
        self.add("forkserver-host.3", "forkserver-host.h",
                 call_pages.write_section("forkserver-host", host, host_section, "zygotes of other runtimes"))
        self.add("libforkserver.3", "the first comment of forkserver.h", call_pages.write_library(public, pages))
        found = sorted(pair for page, section in pages for pair in call_pages.aliases(page, section))
        self.files[f"{PAGES}/aliases.txt"] = "".join(f"{name}.3 {page}.3\n" for name, page in found)

    def add_glossary(self):
        text = self.read("doc/architecture.md")
        rows = re.findall(r"^\| (\w+) \| (.+) \|$", text[text.index("## Glossary"):text.index("## Processes")],
                          re.MULTILINE)
        lines = ["# WORDS", ""]
        for word, meaning in rows[1:]:
            lines += entry(bold(word), mark(meaning))
        self.add("forkserver.7", "the glossary of doc/architecture.md", lines)

    def end(self):
        """The list of the pages is Meson's, too."""
        pages = sorted(os.path.basename(path)[:-len(".scd")] for path in self.files if path.endswith(".scd"))
        left = set(self.sources.values()) - set(pages)
        if left:
            raise ValueError(f"{PAGES}: of {', '.join(sorted(left))} there is nothing more to tell; remove it")
        self.files[f"{PAGES}/pages.txt"] = "".join(f"{page}\n" for page in pages)


def collect(root, forkserver):
    """Returns the text of each file by its path in the repository."""
    manual = Manual(root)
    whole, commands = helps.Program(forkserver).read()
    manual.add_commands(whole, commands)
    manual.add_calls()
    manual.add_glossary()
    manual.end()
    for shell in (bash_table, fish_table, zsh_table):
        source = "what `forkserver help` and `forkserver COMMAND --help` say"
        manual.files[shell.PATH] = between_markers(shell.PATH, manual.read(shell.PATH), source,
                                                   shell.write(whole, commands), "#")
    return manual.files
