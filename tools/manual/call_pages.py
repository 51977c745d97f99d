# SPDX-License-Identifier: MIT
"""The pages of section 3: one for each section of forkserver.h, one for its first comment, and one for
forkserver-host.h."""
import os
import re

from scd import bold, entry, escape, literal, mark, paragraph, wrap

PROTOTYPE_WIDTH = 68
ERRORS = re.compile(r"^(Errors\b[^:]*:)")


# ---- comments ----

class Comment:
    """Paragraphs, lists, tables of two columns, and pieces of code, as the comments of the headers have them."""

    def __init__(self):
        self.result = []
        self.text = []  # of a paragraph, or of a list's item
        self.item = False
        self.code = []
        self.rows = []  # of a table: left and right

    def flush(self):
        if self.text:
            text = ERRORS.sub(r"`\1`", " ".join(self.text))
            self.result += ["- " + line if i == 0 else "  " + line for i, line in enumerate(wrap(mark(text)))
                            ] if self.item else paragraph(mark(text))
        if self.code:
            self.result += literal(self.code)
        for left, right in self.rows:
            self.result += entry(mark(left), mark(right))
        self.text, self.code, self.rows = [], [], []

    def end_list(self):
        if self.item:
            self.flush()
            self.result.append("")
            self.item = False

    def take_row(self, left, right):
        if self.rows and self.rows[-1][0].endswith(","):
            before, text = self.rows.pop()
            left, right = f"{before} {left}", f"{text} {right}".strip()
        self.rows.append((left, right))

    def take(self, line):
        indent = len(line) - len(line.lstrip())
        if not line:
            self.flush()
            self.end_list()
        elif re.match(r" - ", line):
            self.flush()
            self.item = True
            self.text = [line[3:]]
        elif self.item and indent >= 3:
            self.text.append(line.strip())
        elif indent >= 4:
            if self.text:
                self.flush()
            self.code.append(line[4:])
        elif indent == 1 and not self.item:
            self.take_row(*(re.split(r" {2,}", line.strip()) + [""])[:2])
        else:
            self.end_list()
            if ERRORS.match(line) or self.code or self.rows:
                self.flush()
            self.text.append(line.strip())


def write_comment(lines):
    comment = Comment()
    for line in [*lines, ""]:
        comment.take(line)
    return comment.result


# ---- declarations ----

def heading_of(group):
    functions = [f"{name}()" for name in group.names("function")]
    types = [one.code for one in group.declarations if one.fields]
    macros = group.names("define")
    if functions or types:
        return ", ".join(functions or types)
    if len(macros) > 3:
        return os.path.commonprefix(macros) + "…"
    return ", ".join(macros or [one.code.rstrip(";") for one in group.declarations])


def write_parts(parts):
    """Fields or macros, each with its comment; those without one go together with the next one that has one."""
    lines, bare = [], []
    for i, (code, comment) in enumerate(parts):
        bare.append(bold(code.rstrip(";")))
        if comment or i == len(parts) - 1:
            lines += [*(head + "++" for head in bare[:-1]), *entry(bare[-1], mark(" ".join(comment)))]
            bare = []
    return lines


def write_group(group):
    if not group.comment and not any(one.fields or one.kind == "define" or one.comment for one in group.declarations):
        return []
    lines = [f"## {escape(heading_of(group))}", ""] if group.declarations else []
    lines += write_comment(group.comment)
    for one in group.declarations:
        lines += write_parts(one.fields)
        if one.kind == "function" and one.comment:
            lines += paragraph(f"{bold(one.name)}(): {mark(' '.join(one.comment))}")
    macros = [(one.code.removeprefix("#define "), one.comment) for one in group.declarations if one.kind == "define"]
    return lines + write_parts(macros)


def title_in_a_sentence(title):
    return title[0].lower() + title[1:]


def prototype(code):
    """In lines that a terminal has room for. Roff would cut names in two."""
    lines = [""]
    for part in re.split(r"(?<=,) ", code):
        if lines[-1] and len(lines[-1]) + 1 + len(part) > PROTOTYPE_WIDTH:
            lines.append("        ")
        lines[-1] += part if not lines[-1].strip() else f" {part}"
    return lines


def synopsis(header, declarations):
    lines = ["# SYNOPSIS", "", bold(f"#include <{os.path.basename(header.path)}>"), ""]
    code = [line for one in declarations for line in prototype(one.code)]
    return lines + (literal(code) if code else [])


def write_section(page, header, section, purpose):
    names = [page, *(one.name for one in section.declarations("function"))]
    lines = ["# NAME", "", *wrap(f"{escape(', '.join(names))} - {mark(purpose)}"), ""]
    lines += synopsis(header, section.declarations("function"))
    lines += ["# DESCRIPTION", ""]
    for group in section.groups:
        lines += write_group(group)
    return lines


def write_library(header, pages):
    name, _, purpose = " ".join(header.intro[:header.intro.index("")]).partition(": ")
    lines = ["# NAME", "", *wrap(f"{name} - {mark(purpose.rstrip('.'))}"), "", *synopsis(header, [])]
    lines += paragraph("cc … $(pkg-config --cflags --libs libforkserver)")
    lines += ["# DESCRIPTION", "", *write_comment(header.intro[header.intro.index("") + 1:])]
    lines += ["# PAGES", ""]
    for page, section in pages:
        functions = ", ".join(f"{one.name}()" for one in section.declarations("function"))
        lines += entry(f"{bold(page)}(3)", mark(functions))
    return lines


def aliases(page, section):
    """What `man` shall find besides the page's own name."""
    for one in section.declarations("function", "struct", "enum"):
        if one.kind == "function" or one.fields or any(one in group.declarations and group.comment
                                                       for group in section.groups):
            yield one.name, page


def page_name(title):
    return "forkserver-" + re.sub(r"\W+", "-", title.lower()).strip("-")
