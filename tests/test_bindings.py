# SPDX-License-Identifier: MIT
"""Calls from C++, Rust and Node.js: the examples are built and run, and Rust's declarations are those of the header."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from leftovers import PATIENCE

ROOT = pathlib.Path(__file__).resolve().parent.parent
RUST = ROOT / "bindings/rust"
LIMIT = 120 * PATIENCE

WORDS = ["3 words", "100 more have two words", "3 words", "sh exited with 7"]


def run(*command, **options):
    options.setdefault("timeout", LIMIT)
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.splitlines()


@pytest.fixture
def example(build):
    def find(name, why):
        path = build / "examples" / name
        if not path.exists():
            pytest.skip(why)
        return path
    return find


# ---- C ----

def test_parse(example, sanitized):
    if sanitized:
        pytest.skip("a sanitizer takes the address space that the example limits")
    parse = example("parse", "libmagic is not there")
    lines = run(parse, __file__, "/bin/sh", "/nothing-is-here")
    kind = os.path.getsize("/bin/sh")
    assert re.fullmatch(r'.*: {"type": "text/x-script.python; charset=\S+", "bytes": \d+}', lines[0])
    assert re.fullmatch(rf'/bin/sh: {{"type": "application/x-\S+; charset=binary", "bytes": {kind}}}', lines[1])
    assert lines[2:] == ["/nothing-is-here: it cannot be opened"]


# ---- C++ ----

@pytest.mark.parametrize("standard", [17, 20, 23])
def test_cpp(example, standard):
    lines = run(example(f"call-cpp{standard}", "there is no C++ compiler for this standard"))
    assert [re.sub(" and dumped core", "", line) for line in lines] == [
        WORDS[0], "the process was killed by SIGABRT", "there is a NUL in it", *WORDS[1:]]


# ---- Rust ----

SCALARS = {"usize": "size_t", "u32": "uint32_t", "u64": "uint64_t", "i32": "int32_t", "c_int": "int", "c_char": "char",
           "c_long": "long", "c_void": "void"}
STRUCTS = {"rusage": "struct rusage"}


def as_c(kind, name=""):
    """A declaration of `name`, whose type is Rust's `kind`, in C."""
    kind = kind.strip()
    if match := re.fullmatch(r"\[(.*); (\d+)\]", kind):
        return as_c(match[1], f"{name}[{match[2]}]")
    if match := re.fullmatch(r'Option<extern "C" fn\((.*)\)(?: -> (.*))?>', kind, re.DOTALL):
        return as_c(match[2] or "c_void", f"(*{name})({parameters(match[1])})")
    if match := re.fullmatch(r"\*(const|mut) (.*)", kind, re.DOTALL):
        inner = match[2].strip()
        return as_c(inner, f"*{name}") if match[1] == "mut" else as_c_const(inner, name)
    return f"{SCALARS.get(kind) or STRUCTS.get(kind) or 'struct ' + kind} {name}"


def as_c_const(inner, name):
    if inner.startswith("*"):
        return as_c(inner, f"const *{name}")
    return "const " + as_c(inner, f"*{name}")


def parameters(text):
    text = re.sub(r"< ", "<", re.sub(r", ?>", ">", re.sub(r"\s+", " ", text)))
    pieces = re.findall(r'(\w+): ((?:Option<(?:->|[^>])*>|[^,])+)', text)
    return ", ".join(as_c(re.sub(r",? \)", ")", kind), name) for name, kind in pieces) or "void"


def declarations():
    """A C file which compiles if what forkserver-sys declares is what the header declares."""
    text = (RUST / "forkserver-sys/src/lib.rs").read_text()
    lines = ["#include <forkserver.h>", "#include <stddef.h>"]
    constants = re.findall(r"^pub const (\w+): \w+ = (\d+);", text, re.M)
    structs = re.findall(r"^pub struct (\w+) {\n(.*?)^}", text, re.M | re.S)
    functions = re.findall(r"^    pub fn (\w+)\((.*?)\)(?: -> ([^;,>]*))?;", text, re.M | re.S)
    assert len(constants) > 10 and len(structs) > 7 and len(functions) > 30
    for name, value in constants:
        lines.append(f'_Static_assert({name} == {value}, "{name}");')
    for name, body in structs:
        fields = re.findall(r"^    pub (\w+): (.*),$", body, re.M)
        theirs = STRUCTS.get(name, f"struct {name}")
        lines.append(f"struct rust_{name} {{ {' '.join(as_c(kind, field) + ';' for field, kind in fields)} }};")
        lines.append(f'_Static_assert(sizeof(struct rust_{name}) == sizeof({theirs}), "{name}");')
        if name in STRUCTS:
            continue
        for field, _ in fields:
            ours = f"struct rust_{name}"
            lines.append(f'_Static_assert(offsetof({ours}, {field}) == offsetof({theirs}, {field}), "{name}.{field}");')
            lines.append(f"_Static_assert(__builtin_types_compatible_p(__typeof__((({ours} *)0)->{field}), "
                         f'__typeof__((({theirs} *)0)->{field})), "{name}.{field}");')
    for name, words, result in functions:
        lines.append(as_c(result or "c_void", f"{name}({parameters(words)})") + ";")
    return "\n".join(lines) + "\n"


def test_rust_declarations(tmp_path):
    source = tmp_path / "declarations.c"
    source.write_text(declarations())
    run("cc", "-std=c11", "-Wall", "-Werror", "-fsyntax-only", f"-I{ROOT}/include", source)
    for wrong in [("fsrv_request_set_flags(struct fsrv_request *request, uint32_t", "fsrv_request_set_flags(int"),
                  ("STAGE_RESULT == 22", "STAGE_RESULT == 21"), ("int code; uint32_t", "int code; int32_t")]:
        assert wrong[0] in source.read_text()
        (tmp_path / "wrong.c").write_text(source.read_text().replace(*wrong))
        result = subprocess.run(["cc", "-std=c11", "-fsyntax-only", f"-I{ROOT}/include", tmp_path / "wrong.c"],
                                capture_output=True, timeout=LIMIT)
        assert result.returncode != 0, wrong


@pytest.fixture
def rustc(sanitized):
    if sanitized:
        pytest.skip("a sanitizer's runtime has to be the first library of a program")
    path = shutil.which("rustc", path="/usr/bin:" + os.environ["PATH"])
    if not path:
        pytest.skip("rustc is not there")
    return path


def test_rust(rustc, build, tmp_path):
    library = ["-L", f"native={build}/src"]

    def compile_rust(source, *words):
        run(rustc, "--edition", "2021", "-D", "warnings", "-L", tmp_path, *library, "--out-dir", tmp_path, *words,
            RUST / source, cwd=tmp_path)

    compile_rust("forkserver-sys/src/lib.rs", "--crate-name", "forkserver_sys", "--crate-type", "rlib")
    compile_rust("forkserver/src/lib.rs", "--crate-name", "forkserver", "--crate-type", "rlib", "--extern",
                 f"forkserver_sys={tmp_path}/libforkserver_sys.rlib")
    compile_rust("forkserver/examples/call.rs", "--extern", f"forkserver={tmp_path}/libforkserver.rlib",
                 "-C", f"link-arg=-Wl,-rpath,{build}/src")
    lines = run(tmp_path / "call")
    assert [re.sub(" and dumped core", "", line) for line in lines] == [
        WORDS[0], "the process was killed by SIGABRT (signal 6, code 0)",
        "invalid utf-8 sequence of 1 bytes from index 9 (signal 0, code 1)", *WORDS[1:]]


# ---- Node.js ----

def test_node(forkserver, module, tmp_path):
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not there")
    (tmp_path / "a").write_text("hello")
    (tmp_path / "b").write_bytes(b"x" * 1000000)
    command = [node, ROOT / "examples/call.mjs"]
    environment = {**os.environ, "FORKSERVER": str(forkserver), "TMPDIR": str(tmp_path)}
    lines = run(*command, f"{module('results')}:measure", "a", "b", cwd=tmp_path, env=environment)
    assert lines == ["a 5o", "b 1000000x"]
    [line] = run(*command, f"{module('results')}:crash", "a", cwd=tmp_path, env=environment)
    assert line.startswith("a failed: forkserver: ") and "was killed by SIGABRT" in line
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}
