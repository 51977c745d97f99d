#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks where a linked file has what a worker runs and writes to (src/zygote/layout.ld, src/base/layout.h).

Each window of 64 KiB of code costs a worker a page fault, and so does each page that it writes to. Nothing fails when a
variable moves to a page of its own: spawns become slower. So the linked files are looked at, and the object files that
they were made of.

usage: layout.py FILE DIRECTORY      layout.py --skip REASON      DIRECTORY: the build's src/, with the object files
"""
import glob
import os
import re
import struct
import sys

PAGE, WINDOW = 4096, 65536
SKIPPED = 77  # Meson's
CODE = re.compile(r"base_(error|fd|huge|linux|title)\.|wire_(channel|inherited|messages|order|patient_send|readiness)\."
                  r"|wire_(request_codec|strings)\.|worker_(actions|apart|loan|result|run|setup|standby|task|worker)\."
                  r"|zygote_(entries|fork|hot|module|symbols|zygote)\.")
VARIABLES = re.compile(r"worker_|wire_inherited\.|zygote_(fork|module)\.")
# Variables of these files that are written to before the first fork only.
BEFORE_FORKS = {"twice", "ready", "preloaded", "n_preloaded"}
BUFFERS = {"fsrv__task_bytes", "result_message"}
FUNCTION, OBJECT = 2, 1
WRITABLE, IN_MEMORY = 1, 2
TLS = 0x400


class Section:
    def __init__(self, name, flags, start, size):
        self.name, self.flags, self.start, self.end = name, flags, start, start + size


class File:
    """The sections and symbols of an ELF file of 64 bits. Symbols: {name: [(type, address, section)]}."""

    def __init__(self, path):
        self.path = os.path.basename(path)
        with open(path, "rb") as file:
            data = file.read()
        if data[:6] != b"\x7fELF\2\1":
            sys.exit(f"{path} is no ELF file of 64 bits, least byte first")
        offset, = struct.unpack_from("<Q", data, 40)
        size, n, names = struct.unpack_from("<HHH", data, 58)
        heads = [struct.unpack_from("<IIQQQQIIQQ", data, offset + i * size) for i in range(n)]
        self.sections = [Section(text(data, heads[names][4] + head[0]), head[2], head[3], head[5]) for head in heads]
        self.symbols = {}
        for head in (head for head in heads if head[1] == 2):
            for at in range(head[4], head[4] + head[5], 24):
                name, info, _, index, address, _ = struct.unpack_from("<IBBHQQ", data, at)
                if 0 < index < n and info & 15 in (FUNCTION, OBJECT):
                    symbol = (info & 15, address, self.sections[index])
                    self.symbols.setdefault(text(data, heads[head[6]][4] + name), []).append(symbol)

    def section(self, name):
        for section in self.sections:
            if section.name == name:
                return section
        sys.exit(f"{self.path} has no section {name}: the linker has not taken src/zygote/layout.ld, or found nothing "
                 "to put there")

    def is_in(self, name, section):
        return any(where is section for _, _, where in self.symbols.get(name, []))


def text(data, at):
    return data[at:data.index(b"\0", at)].decode()


def names_of(objects, pattern, wanted):
    """(symbol, object file) of those object files; wanted: whether a type and a section count."""
    for path in objects:
        if pattern.match(os.path.basename(path)):
            file = File(path)
            for name, places in file.symbols.items():
                if any(wanted(kind, section) for kind, _, section in places):
                    yield name, file.path


def is_function(kind, section):
    return kind == FUNCTION and not section.name.startswith(".text.unlikely")


def is_variable(kind, section):
    return (kind == OBJECT and section.flags & WRITABLE and not section.flags & TLS
            and not section.name.startswith(".data.rel.ro"))


def check_code(file, objects):
    code = file.section(".worker_code")
    if code.start // WINDOW != (code.end - 1) // WINDOW:
        yield (f"what a worker runs, {code.end - code.start} bytes from {code.start:#x} to {code.end:#x}, is in more "
               "than one window of 64 KiB")
    for name, path in names_of(objects, CODE, is_function):
        if name in file.symbols and not file.is_in(name, code):  # an archive's file that nothing needs isn't linked
            yield f"{name}() of {path} is not in .worker_code"
    for name in ("_fini", "__do_global_dtors_aux"):
        for _, address, _ in file.symbols.get(name, []):
            if address // WINDOW != code.start // WINDOW:
                yield f"{name}(), which exit(3) calls, is in another window of 64 KiB than what a worker runs"


def check_variables(file, objects):
    variables, bss = file.section(".worker_variables"), file.section(".bss")
    if variables.start % PAGE != 0:
        yield f"what a worker writes to begins at {variables.start:#x}, in the middle of a page"
    if bss.start // PAGE != variables.start // PAGE:
        yield (f"what a worker writes to, {variables.end - variables.start} bytes and then the beginning of .bss, is "
               "on more than one page")
    yield from check_each_variable(file, variables, objects)


def check_buffer(file):
    buffer = file.section(".worker_buffer")
    if buffer.start % PAGE != 0:
        yield f"the buffers of a worker begin at {buffer.start:#x}, in the middle of a page"
    last = max((section for section in file.sections if section.flags & IN_MEMORY and not section.flags & TLS),
               key=lambda section: section.end)
    if last is not buffer:
        yield f"{last.name} lies behind the buffers of a worker"
    for name, places in file.symbols.items():
        if name not in BUFFERS and any(section is buffer for _, _, section in places):
            yield f"{name} lies on the pages of a worker's buffers"
        if name in BUFFERS and any(address % PAGE for _, address, _ in places):
            yield f"{name} begins in the middle of a page"


def check_static(file, objects):
    """Of a program that the linker has arranged as it does by itself: a section's name keeps variables together."""
    variables = file.section("fsrv_worker")
    if variables.end - variables.start > PAGE:
        yield f"what a worker writes to, {variables.end - variables.start} bytes, is more than a page"
    yield from check_each_variable(file, variables, objects)


def check_each_variable(file, variables, objects):
    for name, path in names_of(objects, VARIABLES, is_variable):
        if name not in BEFORE_FORKS and name not in BUFFERS and not file.is_in(name, variables):
            yield f"{name} of {path} is not in {variables.name}: it lacks FSRV__WORKER_VARIABLE"


def main(arguments):
    if arguments[0] == "--skip":
        print(f"layout: it was not checked: {arguments[1]}.")
        return SKIPPED
    file, objects = File(arguments[0]), sorted(glob.glob(os.path.join(arguments[1], "lib*.p", "*.o")))
    if any(section.name == "fsrv_worker" for section in file.sections):
        findings = [*check_static(file, objects)]
    else:
        findings = [*check_code(file, objects), *check_variables(file, objects), *check_buffer(file)]
    for finding in findings:
        print(f"{file.path}: {finding}.")
    if not findings:
        print(f"layout: what a worker of {file.path} runs and writes to lies together.")
    return 1 if findings else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
