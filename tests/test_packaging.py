# SPDX-License-Identifier: MIT
"""The packages of distributions: they have every file, the same version and the same symbols; the units of systemd.

That the packages can be built, installed, upgraded and purged is tested by ./dev package --test.
"""

import fnmatch
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIB, PYTHON = "usr/lib/x86_64-linux-gnu", "usr/lib/python3/dist-packages"
# What the spec's macros stand for; its distributions have another place for libraries.
MACROS = {"_bindir": "usr/bin", "_libdir": LIB, "_includedir": "usr/include", "_unitdir": "usr/lib/systemd/system",
          "_mandir": "usr/share/man", "_datadir": "usr/share", "python3_sitearch": PYTHON}


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module", autouse=True)
def once(sanitized):
    if sanitized or os.environ.get("FORKSERVER_DENY"):
        pytest.skip("once is enough: in the plain run")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The paths that `meson install` makes, as the packages have it configured."""
    build = tmp_path_factory.mktemp("packaging") / "build"
    subprocess.run(["/usr/bin/meson", "setup", build, ROOT, "--prefix", "/usr", f"--libdir=/{LIB}",
                    f"--libexecdir=/{LIB}/libforkserver0", "-Dtests=false", "-Dexamples=disabled", "-Dpython=enabled",
                    "-Dpython_interpreter=/usr/bin/python3", f"-Dpython_directory=/{PYTHON}"],
                   check=True, stdout=subprocess.DEVNULL)
    return {path.lstrip("/") for path in json.loads(subprocess.check_output(
        ["/usr/bin/meson", "introspect", "--installed", build])).values()}


def uncovered(paths, patterns):
    """A pattern covers what is below it, too."""
    return sorted(path for path in paths
                  if not any(fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(path, f"{pattern}/*")
                             for pattern in patterns))


def test_the_debian_packages_have_every_file(installed):
    patterns = [f"{MACROS['_unitdir']}/forkserver@.*"]  # debian/rules moves these
    for file in [*ROOT.glob("debian/*.install"), ROOT / "debian/not-installed"]:
        patterns += re.findall(r"\busr/[^\s;]+", file.read_text(encoding="utf-8"))
    assert uncovered(installed, patterns) == [], "debian/*.install has to name these files"


def test_the_rpm_packages_have_every_file(installed):
    files = re.sub(r"%\{(\w+)\}", lambda macro: MACROS.get(macro[1], macro[0]), text_of("packaging/forkserver.spec"))
    patterns = [line.rstrip("/") for line in re.findall(r"^(usr/\S+)", files, re.M)]
    patterns += re.findall(r"\b(usr/share/(?:man/man\d|bash-completion|zsh|fish)[\w/.-]*)", files)
    assert uncovered(installed, patterns) == [], "packaging/forkserver.spec has to name these files"


def test_the_symbols():
    """One list for the linker, and one for dpkg; a symbol that is new in a version names it in the second."""
    exported = re.findall(r"^\s+(fsrv_\w+);", text_of("src/libforkserver.map"), re.M)
    packed = re.findall(r"^ (fsrv_\w+)@(FORKSERVER_[\d.]+) \d", text_of("debian/libforkserver0.symbols"), re.M)
    assert {f" {name}@FORKSERVER_0.1 0.1.0" for name in set(exported) ^ {name for name, _ in packed}} == set(), (
        "debian/libforkserver0.symbols and src/libforkserver.map differ; ./dev package --symbols mends it")


def test_the_version_is_the_same_everywhere():
    patterns = {
        "meson.build": r"^\s+version: '(.*)'", "src/meson.build": r"^\s+version: '(.*)', soversion", "pyproject.toml":
        r'^version = "(.*)"', "debian/changelog": r"^forkserver \((.*)\)", "packaging/forkserver.spec":
        r"^Version:\s+(.*)", "packaging/APKBUILD": r"^pkgver=(.*)",
    }
    assert len({re.search(pattern, text_of(name), re.M)[1] for name, pattern in patterns.items()}) == 1


def test_the_debian_files():
    """What dpkg-buildpackage and lintian say in full, as far as text shows it."""
    fields = [dict(re.findall(r"^([A-Za-z0-9-]+):[ \n]*(.*)", paragraph, re.M))
              for paragraph in text_of("debian/control").split("\n\n")]
    assert fields[0]["Source"] == "forkserver"
    packages = {paragraph["Package"]: paragraph for paragraph in fields[1:]}
    assert set(packages) == {"libforkserver0", "libforkserver-dev", "forkserver", "python3-forkserver"}
    assert all(set(one) >= {"Architecture", "Depends", "Description"} for one in packages.values())
    assert os.access(ROOT / "debian/rules", os.X_OK)
    for file in [*ROOT.glob("debian/*.docs"), *ROOT.glob("debian/*.examples")]:
        assert all((ROOT / name).exists() for name in file.read_text().split()), file
    for name in re.findall(r"^Tests: (\w+)", text_of("debian/tests/control"), re.M):
        assert os.access(ROOT / "debian/tests" / name, os.X_OK), name


def test_the_apkbuild():
    show = 'set -eu; . "$0"; echo "$pkgname $pkgrel $arch $license"; type build check package libs py3 >/dev/null'
    result = subprocess.run(["sh", "-c", show, ROOT / "packaging/APKBUILD"], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "forkserver 0 all MIT\n", "")


@pytest.fixture
def units(tmp_path):
    """The units, with a program that is there."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not there (its Debian package is systemd)")
    paths = []
    for template in (ROOT / "packaging/systemd").glob("*.in"):
        paths.append(tmp_path / template.name[:-len(".in")])
        paths[-1].write_text(template.read_text().replace("@BIN@/forkserver", "/bin/true"))
    assert len(paths) == 2
    return paths


def analyze(*words, folder):
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:", "SYSTEMD_COLORS": "0"})


def test_systemd_takes_the_units(units, tmp_path):
    """It ends with 0 where it ignores a line, too."""
    result = analyze("verify", "--man=no", *units, folder=tmp_path)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_the_service_is_closed(units, tmp_path):
    """10 is a service without any protection; what is left open has its reason in the unit."""
    (service,) = (path for path in units if path.suffix == ".service")
    result = analyze("security", "--offline=true", "--threshold=30", "--no-pager", service, folder=tmp_path)
    if "unrecognized option" in result.stderr:
        pytest.skip("this systemd-analyze has no --offline")
    assert result.returncode == 0, result.stdout + result.stderr
