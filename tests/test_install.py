# SPDX-License-Identifier: MIT
"""An installation: complete, usable with pkg-config alone, and still so after its prefix was moved."""
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
# Nothing that points to the build directory may help.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("FORKSERVER_", "LD_", "PKG_CONFIG"))}


def run(*command, **more):
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env={**CLEAN, **more})
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory, sanitized):
    if sanitized or os.environ.get("FORKSERVER_DENY"):
        pytest.skip("once is enough: in the plain run")
    folder = tmp_path_factory.mktemp("install")
    run("/usr/bin/meson", "setup", str(folder / "build"), str(REPOSITORY), "--prefix", str(folder / "first"),
        "--libdir", "lib", "-Dpkgconfig.relocatable=true",
        "-Dtests=false", "-Dexamples=disabled")
    run("/usr/bin/meson", "install", "-C", str(folder / "build"))
    (folder / "first").rename(folder / "moved")
    return folder / "moved"


def find(prefix, name):
    (path,) = prefix.rglob(name)
    return path


def test_hello_by_pkg_config_alone(prefix, tmp_path):
    path = str(find(prefix, "libforkserver.pc").parent)
    flags = run("pkg-config", "--cflags", "--libs", "libforkserver", PKG_CONFIG_PATH=path).split()
    run("cc", str(REPOSITORY / "examples/hello.c"), "-o", str(tmp_path / "hello"), *flags)
    lines = run(str(tmp_path / "hello"), LD_LIBRARY_PATH=str(find(prefix, "libforkserver.so.0").parent)).splitlines()
    assert "hello from process" in lines[0] and "it exited with 7" in lines[1]


def test_hello_as_a_static_program(prefix, tmp_path):
    """Position-independent, which must not have an rpath; nor has it a file beside which the helpers would be."""
    path = str(find(prefix, "libforkserver.pc").parent)
    flags = run("pkg-config", "--cflags", "--libs", "--static", "libforkserver", PKG_CONFIG_PATH=path).split()
    run("cc", "-static-pie", str(REPOSITORY / "examples/hello.c"), "-o", str(tmp_path / "hello"), *flags)
    helpers = str(find(prefix, "forkserver-server").parent)
    assert "hello from process" in run(str(tmp_path / "hello"), FORKSERVER_HELPERS=helpers)


def test_hello_by_the_static_library(prefix, tmp_path):
    """Its helper programs are beside no library: the environment says where they are."""
    path = str(find(prefix, "libforkserver.pc").parent)
    flags = run("pkg-config", "--cflags", "libforkserver", PKG_CONFIG_PATH=path).split()
    run("cc", str(REPOSITORY / "examples/hello.c"), "-o", str(tmp_path / "hello"), *flags,
        str(find(prefix, "libforkserver.a")), "-lpthread")
    helpers = str(find(prefix, "forkserver-server").parent)
    assert "hello from process" in run(str(tmp_path / "hello"), FORKSERVER_HELPERS=helpers)


NESTED = """
#include <forkserver.h>
#include <stdio.h>
#include <string.h>

int nested(int argc, char **argv) {
        struct fsrv_server *server;
        struct fsrv_error error;
        char line[4096];

        (void)argc;
        (void)argv;
        if (fsrv_server_new(NULL, &server, &error) < 0 || fsrv_server_ensure_running(server, &error) < 0)
                return !puts(error.text);
        fsrv_server_free(server);
        for (FILE *maps = fopen("/proc/self/maps", "re"); fgets(line, sizeof line, maps);)
                if (strstr(line, "libforkserver"))
                        printf("%s", line);
        return 0;
}
"""


def test_a_worker_with_a_server_of_its_own(prefix, tmp_path):
    """Its library is the zygote program, which is beside the other helpers. There is no second copy."""
    path = str(find(prefix, "libforkserver.pc").parent)
    flags = run("pkg-config", "--cflags", "--libs", "libforkserver", PKG_CONFIG_PATH=path).split()
    (tmp_path / "nested.c").write_text(NESTED)
    run("cc", "-shared", "-fPIC", str(tmp_path / "nested.c"), "-o", str(tmp_path / "nested.so"), *flags)
    command = str(find(prefix, "bin") / "forkserver")
    assert run(command, "run", "--call", f"{tmp_path}/nested.so:nested") == ""


def test_what_lies_beside_a_static_program_is_not_run(prefix, tmp_path):
    run("cc", f"-I{prefix}/include", str(REPOSITORY / "examples/hello.c"), "-o", str(tmp_path / "hello"),
        str(find(prefix, "libforkserver.a")), "-lpthread")
    planted = tmp_path / "forkserver-server"
    planted.write_text(f"#!/bin/sh\n: > {tmp_path}/was-run\n")
    planted.chmod(0o755)
    result = subprocess.run([tmp_path / "hello"], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=CLEAN)
    assert result.returncode != 0 and "No such file" in result.stderr
    assert not (tmp_path / "was-run").exists()


def test_the_command(prefix):
    command = str(find(prefix, "bin") / "forkserver")
    assert run(command, "run", "echo", "it works") == "it works\n"
    assert run(command, "--version").startswith("forkserver 0.")


def test_the_helper_programs_lie_together(prefix):
    """The library finds all of them where it finds one."""
    folder = find(prefix, "forkserver-server").parent
    programs = {path.name for path in folder.iterdir()}
    assert programs >= {"forkserver-server", "forkserver-zygote", "forkserver-tracker"}
    assert all(os.access(folder / name, os.X_OK) for name in programs)


def test_only_what_the_headers_declare_is_exported(prefix):
    exported = {line.split()[-1].split("@")[0]
                for line in run("nm", "-D", "--defined-only", str(find(prefix, "libforkserver.so.0"))).splitlines()}
    headers = "".join(path.read_text() for path in (prefix / "include").glob("*.h"))
    exported.discard("FORKSERVER_0.1")
    assert exported and all(f"{name}(" in headers for name in exported)
    declared = {word.split("(")[0].lstrip("*") for line in headers.splitlines() if line.startswith("FSRV_PUBLIC")
                for word in line.split() if "(" in word and word.lstrip("*").startswith("fsrv_")}
    assert declared == exported


CMAKE = """
cmake_minimum_required(VERSION 3.10)
project(hello C)
find_package(forkserver 0.1 REQUIRED)
add_executable(hello {source})
target_link_libraries(hello PRIVATE forkserver::forkserver)
add_executable(hello-static {source})
target_link_libraries(hello-static PRIVATE forkserver::forkserver-static)
find_package(forkserver 0 REQUIRED)
foreach(version 0.0.9 0.2 1)
  unset(forkserver_DIR CACHE)
  find_package(forkserver ${{version}} QUIET)
  if(forkserver_FOUND)
    message(FATAL_ERROR "version ${{version}} was found")
  endif()
endforeach()
"""


@pytest.mark.skipif(not shutil.which("cmake"), reason="cmake is not there (its Debian package has this name)")
def test_hello_by_cmake(prefix, tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(CMAKE.format(source=REPOSITORY / "examples/hello.c"))
    run("cmake", "-S", str(tmp_path), "-B", str(tmp_path / "build"), f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", str(tmp_path / "build"))
    assert "hello from process" in run(str(tmp_path / "build/hello"))  # CMake's rpath names the library
    helpers = str(find(prefix, "forkserver-server").parent)
    assert "hello from process" in run(str(tmp_path / "build/hello-static"), FORKSERVER_HELPERS=helpers)


SUPER = """
project('super', 'c', meson_version: '>= 0.60')
forkserver = dependency('libforkserver', fallback: 'forkserver', required: true)
executable('hello', 'hello.c', dependencies: forkserver)
assert(forkserver.type_name() == 'internal', 'another forkserver was found')
message('helpers:', forkserver.get_variable(internal: 'helpers'))
"""


def test_hello_with_a_subproject(prefix, tmp_path):
    """Whose helper programs are in its build directory."""
    (tmp_path / "subprojects").mkdir()
    (tmp_path / "subprojects/forkserver").symlink_to(REPOSITORY)
    (tmp_path / "meson.build").write_text(SUPER)
    shutil.copy(REPOSITORY / "examples/hello.c", tmp_path)
    build = tmp_path / "build"
    told = run("/usr/bin/meson", "setup", str(build), str(tmp_path), "--buildtype", "plain",
               "--force-fallback-for=libforkserver")
    targets = {Path(line.split(":")[0]).name: line.split(":")[0]
               for line in run("ninja", "-C", str(build), "-t", "targets", "all").splitlines()}
    assert not {"spawner", "consumer", "attack"} & set(targets)  # it is for users of the library
    run("ninja", "-C", str(build), "hello", targets["forkserver-server"], targets["forkserver-zygote"])
    helpers = re.search("helpers: (.*)", told)[1]
    assert "hello from process" in run(str(build / "hello"), FORKSERVER_HELPERS=helpers)


def test_destdir(prefix, tmp_path):
    run("/usr/bin/meson", "install", "-C", str(prefix.parent / "build"), DESTDIR=str(tmp_path))
    assert list(tmp_path.rglob("libforkserver.so.0"))
    shutil.rmtree(tmp_path / str(prefix.parent)[1:])


def test_man_pages_and_completions(prefix):
    for path in "bash-completion/completions/forkserver", "zsh/site-functions/_forkserver", \
            "fish/vendor_completions.d/forkserver.fish":
        assert (prefix / "share" / path).is_file()
    if not shutil.which("scdoc"):
        pytest.skip("there is no scdoc here")
    assert (prefix / "share/man/man3/fsrv_spawn.3").read_text() == ".so man3/forkserver-processes.3\n"
    assert ".SH EXAMPLES" in (prefix / "share/man/man1/forkserver-map.1").read_text()


def test_all_lies_below_the_prefix(prefix):
    places = json.loads(run("/usr/bin/meson", "introspect", "--installed", str(prefix.parent / "build"))).values()
    assert len(places) > 20 and all(place.startswith(f"{prefix.parent / 'first'}/") for place in places)
