# SPDX-License-Identifier: MIT
"""The public headers, taken apart: sections, and in them groups of declarations with the comment above them."""
import dataclasses
import re

SECTION = re.compile(r"/\* ---- (.+?) -{4,} \*/")
TOKEN = re.compile(r"""
      (?P<comment>/\*.*?\*/)
    | (?P<define>\#define[ ](?P<macro>\w+)(?:\\\n|[^\n\\]|\\(?!\n))*)
    | (?P<directive>\#(?:\\\n|[^\n])*)
    | (?P<body>(?P<kind>struct|enum)[ ](?P<tag>\w+)[ ]\{(?P<fields>(?:/\*.*?\*/|[^}])*)\};)
    | (?P<opaque>struct[ ](?P<opaque_tag>\w+);)
    | (?P<function>FSRV_PUBLIC[ ][^;{]+;)
    | (?P<foreign>extern[ ]"C"[ ]\{|\}(?=\n))
    | (?P<space>\s+)
    """, re.DOTALL | re.VERBOSE)


@dataclasses.dataclass
class Declaration:
    kind: str  # "function", "struct", "enum", "define"
    name: str
    code: str  # on one line
    comment: list  # lines; of what stands behind it
    fields: list = dataclasses.field(default_factory=list)  # (code, lines of its comment), of a struct or an enum


@dataclasses.dataclass
class Group:
    comment: list
    declarations: list

    def names(self, kind):
        return [one.name for one in self.declarations if one.kind == kind]


@dataclasses.dataclass
class Section:
    title: str
    groups: list

    def declarations(self, *kinds):
        return [one for group in self.groups for one in group.declarations if one.kind in kinds]


def comment_lines(text):
    """Without the stars, with the indentation behind them."""
    lines = [re.sub(r"^\s*\* ?", "", line) for line in text[2:-2].rstrip().split("\n")]
    if lines[0].strip():
        lines[0] = lines[0].strip()
    return [line.rstrip() for line in lines[not lines[0]:]]


def one_line(code):
    return re.sub(r"\s+", " ", code.replace("\\\n", " ")).strip()


class Fields:
    """Reads the body of a struct or an enum line by line: clang-format sees to it that a field begins one. A comment
    above a field is its own, as is one behind it."""

    def __init__(self, kind):
        self.kind = kind
        self.fields = []
        self.code = ""  # of a field that goes on in the next line
        self.comment = ""  # one that goes on in the next line
        self.above = []

    def take(self, line):
        if self.comment:
            self.take_comment("\n" + line)
            return
        code, found, comment = line.strip().partition("/*")
        if code.strip():
            self.code = f"{self.code} {code.strip()}".lstrip()
            if self.kind == "enum" or self.code.endswith(";"):
                self.fields.append((self.code.rstrip(","), self.above))
                self.code, self.above = "", []
        if found:
            self.take_comment(found + comment, behind=bool(code.strip()))

    def take_comment(self, text, behind=None):
        if behind is not None:
            self.behind = behind
        self.comment += text
        if not self.comment.rstrip().endswith("*/"):
            return
        lines = comment_lines(self.comment.strip())
        if self.behind:
            self.fields[-1] = self.fields[-1][0], [*self.fields[-1][1], *lines]
        else:
            self.above = lines
        self.comment = ""


def read_fields(kind, body):
    fields = Fields(kind)
    for line in body.split("\n"):
        fields.take(line)
    if fields.code or fields.comment:
        raise ValueError(f"a field doesn't end: {fields.code}{fields.comment}")
    return fields.fields


def declaration_of(match):
    code = match[0]
    if match["function"]:
        code = one_line(code.replace("FSRV_PUBLIC ", ""))
        return Declaration("function", re.search(r"\b(fsrv_\w+)\(", code)[1], code, [])
    if match["body"]:
        fields = read_fields(match["kind"], match["fields"])
        return Declaration(match["kind"], match["tag"], f"{match['kind']} {match['tag']}", [], fields)
    if match["opaque"]:
        return Declaration("struct", match["opaque_tag"], one_line(code), [])
    code, found, comment = code.partition("/*")
    return Declaration("define", match["macro"], one_line(code), comment_lines(found + comment) if found else [])


class Header:
    """path: a public header. intro: its first comment. sections: the first one has what stands above all others."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.path = path
        self.intro = []
        self.sections = [Section("", [])]
        self.open = False  # whether the next declaration belongs to the last group
        self.read(text)

    def read(self, text):
        at = 0
        while at < len(text):
            match = TOKEN.match(text, at)
            if not match:
                raise ValueError(f"{self.path}: this is not understood: {text[at:at + 80]!r}")
            at = match.end()
            self.take(match)

    def groups(self):
        return self.sections[-1].groups

    def take(self, match):
        if match["space"]:
            self.open = self.open and match[0].count("\n") < 2
        elif match["comment"]:
            self.take_comment(match[0], match.string[:match.start()].endswith("\n"))
        elif match["directive"] or match["foreign"]:
            self.open = False
        else:
            declaration = declaration_of(match)
            if not self.open:
                self.groups().append(Group([], []))
            self.groups()[-1].declarations.append(declaration)
            self.open = True

    def take_comment(self, text, on_its_own):
        section = SECTION.fullmatch(text)
        if section:
            self.sections.append(Section(section[1], []))
            self.open = False
        elif not on_its_own:
            if self.open:
                self.groups()[-1].declarations[-1].comment += comment_lines(text)
        elif "SPDX" in text:
            pass
        elif not self.intro:
            self.intro = comment_lines(text)
        else:
            self.groups().append(Group(comment_lines(text), []))
            self.open = True
