# SPDX-License-Identifier: MIT
"""The completions: a real shell at a terminal completes lines, and each shell offers what getopt_long(3) accepts."""

import fcntl
import os
import pty
import re
import select
import shlex
import shutil
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from spawner import LIMIT

COMPLETIONS = Path(__file__).resolve().parent.parent / "completions"
SCRIPTS = {"bash": "forkserver.bash", "zsh": "_forkserver", "fish": "forkserver.fish"}

# A line, with | where the cursor is if it isn't at its end, and what is before the cursor afterwards (but for a blank
# if there is one behind it already). A line alone stays as it is.
LINES = [
    ("forkserver pin", "forkserver ping "),
    ("forkserver help ma", "forkserver help map "),
    ("forkserver help map r",),
    ("forkserver --v", "forkserver --version "),
    ("forkserver nothing --",),
    ("forkserver nothing ab",),
    # options: their names, their values, and where they end
    ("forkserver run --quick", "forkserver run --quick-exit "),
    ("forkserver run --strict --quick", "forkserver run --strict --quick-exit "),
    ("forkserver run --memory fr", "forkserver run --memory freeze "),
    ("forkserver run --memory=fr", "forkserver run --memory=freeze "),
    ("forkserver run --timeout 3 --memory off --quick| x", "forkserver run --timeout 3 --memory off --quick-exit"),
    ("forkserver run --timeout 3",),
    ("forkserver ping --quick",),
    ("forkserver run -- --quick",),
    ("forkserver run cat --quick",),
    ("forkserver map -kj 4 --tag --payl", "forkserver map -kj 4 --tag --payload "),
    ("forkserver map -j4 --payl", "forkserver map -j4 --payload "),
    ("forkserver map -a ab", "forkserver map -a abc.so "),
    ("forkserver map --result m", "forkserver map --result my\\ dir/"),
    ("forkserver serve --threads ig", "forkserver serve --threads ignore "),
    ("forkserver run --server-uid roo", "forkserver run --server-uid root "),
    ("forkserver run --regid roo", "forkserver run --regid root "),
    ("forkserver run --pdeathsig SIGTE", "forkserver run --pdeathsig SIGTERM "),
    # files, with blanks
    ("forkserver run --preload ab", "forkserver run --preload abc.so "),
    ("forkserver run --preload=my\\ d", "forkserver run --preload=my\\ dir/"),
    ("forkserver run --preload my\\ dir/f", "forkserver run --preload my\\ dir/file.so "),
    ("forkserver run --preload \"my dir/f", "forkserver run --preload \"my dir/file.so\" "),
    ("forkserver run --preload it", "forkserver run --preload it\\'s.so "),
    ("forkserver run --preload it\\'", "forkserver run --preload it\\'s.so "),
    ("forkserver run --preload=./pr", "forkserver run --preload=./pr\\$x.so "),
    ("forkserver run --preload=~/ab", "forkserver run --preload=~/abc.so "),
    ("forkserver check --strict ab", "forkserver check --strict abc.so "),
    ("forkserver check abc.so my\\ dir/f", "forkserver check abc.so my\\ dir/file.so "),
    # values that go on
    ("forkserver run --rlimit NOF", "forkserver run --rlimit NOFILE="),
    ("forkserver run --rlimit=NOF", "forkserver run --rlimit=NOFILE="),
    ("forkserver run --sandbox unt", "forkserver run --sandbox untrusted"),
    ("forkserver run --sandbox none,ref", "forkserver run --sandbox none,refuse="),
    ("forkserver run --sandbox none,kill,refuse=fi", "forkserver run --sandbox none,kill,refuse=files"),
    ("forkserver run --sandbox=none,limit=CP", "forkserver run --sandbox=none,limit=CPU:"),
    ("forkserver run --sandbox none,read=ab", "forkserver run --sandbox none,read=abc.so"),
    # operands
    ("forkserver run setpri", "forkserver run setpriv "),
    ("forkserver run --strict -- setpri", "forkserver run --strict -- setpriv "),
    ("forkserver run cat ab", "forkserver run cat abc.so "),
    ("forkserver call ./testmod.so:exi", "forkserver call ./testmod.so:exit_with "),
    ("forkserver call my\\ dir/file.so:exi", "forkserver call my\\ dir/file.so:exit_with "),
    ("forkserver run --call ./testmod.so:exi| --memory", "forkserver run --call ./testmod.so:exit_with"),
    ("forkserver call ~/testmod.so:exi", "forkserver call ~/testmod.so:exit_with "),
    ("forkserver run --call=./testmod.so:exi", "forkserver run --call=./testmod.so:exit_with "),
    ("forkserver run --call ./testmod.so:exit_with ab", "forkserver run --call ./testmod.so:exit_with abc.so "),
    ("forkserver map --call ./testmod.so:exit_with setpri",),
]


@pytest.fixture(autouse=True)
def plain(sanitized):
    if sanitized or os.environ.get("FORKSERVER_DENY"):
        pytest.skip("once is enough: in the plain run")


@pytest.fixture
def folder(tmp_path, testmod):
    """Files to complete."""
    (tmp_path / "my dir").mkdir()
    for name in "testmod.so", "my dir/file.so":
        shutil.copy(testmod, tmp_path / name)
    for name in "abc.so", "it's.so", "pr$x.so":
        (tmp_path / name).touch()
    return tmp_path


def need(shell):
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")


def environment(folder, **more):
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", "PS1": "$ ", "LC_ALL": "C.UTF-8",
            "INPUTRC": "/dev/null", **more}


def ask(folder, *words):
    result = subprocess.run(words, cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=LIMIT)
    assert (result.returncode, result.stderr) == (0, ""), (words, result.stderr)
    return result.stdout.splitlines()


# ---- at a terminal ----

SETUPS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], f"""
bind 'set enable-bracketed-paste off'; bind 'set bell-style none'; bind 'set completion-query-items 0'
bind 'set page-completions off'; . {shlex.quote(str(COMPLETIONS / 'forkserver.bash'))}
show() {{ printf '<<''<%s>>>\\n' "${{READLINE_LINE:0:READLINE_POINT}}"; }}; bind -x '"\\C-xs": show'
"""),
    "zsh": (["zsh", "-f", "-i"], f"""
fpath=({shlex.quote(str(COMPLETIONS))} $fpath); autoload -U compinit; compinit -u -D; LISTMAX=10000
bindkey -e; show() {{ print -r -- '<<''<'"$LBUFFER>>>" }}; zle -N show; bindkey '^Xs' show
setopt no_auto_menu no_list_beep no_beep always_to_end
"""),
}
TO_THE_END, DELETE, LEFT, TAB, SHOW = "\x05", "\x15", "\x02", "\t", "\x18s"


class Shell:
    """An interactive one. A key makes it print its line up to the cursor, between marks."""

    def __init__(self, name, folder):
        words, setup = SETUPS[name]
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 1000, 0, 0))
        self.process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, cwd=folder,
                                        env=environment(folder), start_new_session=True)
        os.close(slave)
        self.press(f"{setup.strip()}\necho rea''dy\n")
        self.wait_for(r"ready()")

    def press(self, keys):
        os.write(self.master, keys.encode())

    def wait_for(self, pattern):
        text, end = "", time.monotonic() + LIMIT
        while not (match := re.search(pattern, text)):
            left = end - time.monotonic()
            assert left > 0 and select.select([self.master], [], [], left)[0], text
            text += os.read(self.master, 65536).decode(errors="replace")
        return match[1]

    def complete(self, line):
        before, _, after = line.partition("|")
        self.press(TO_THE_END + DELETE + before + after + LEFT * len(after) + TAB + SHOW)
        return self.wait_for("<<<(.*?)>>>")

    def end(self):
        self.process.kill()
        self.process.wait(LIMIT)
        os.close(self.master)


@pytest.mark.parametrize("name", SETUPS)
def test_lines_at_a_terminal(name, folder):
    need(name)
    shell, wrong = Shell(name, folder), []
    try:
        for line, *completed in LINES:
            expected = (completed or [line])[0]
            found = shell.complete(line)
            if found != expected and ("|" not in line or found.rstrip() != expected):
                wrong.append((line, found))
    finally:
        shell.end()
    assert not wrong


def test_lines_in_fish(folder):
    need("fish")
    script = f"source {shlex.quote(str(COMPLETIONS / 'forkserver.fish'))}\n" \
        "for line in $argv; echo \">$line\"; complete -C $line | string replace -r '\\t.*' ''; end; true"
    lines = [line.partition("|")[0] for line, *_ in LINES]
    told = "\n".join(ask(folder, "fish", "--no-config", "-c", script, "--", *lines)).split("\n>")
    assert len(told) == len(LINES)
    wrong = [(line, found) for (line, *completed), answer in zip(LINES, told)
             if (found := answer.splitlines()[1:]) != [shlex.split(text)[-1] for text in completed]]
    assert not wrong


# ---- what Bash's function is given, and says ----

CALL = r"""
. "$1"
COMP_LINE=$2 COMP_POINT=$3 COMP_CWORD=$4
COMP_WORDS=("${@:5}")
_forkserver
[ ${#COMPREPLY[@]} = 0 ] || printf '%s\n' "${COMPREPLY[@]}"
"""


def comp_reply(folder, line, words, at=-1):
    before, _, after = line.partition("|")
    return ask(folder, "bash", "--norc", "-c", CALL, "bash", COMPLETIONS / SCRIPTS["bash"], before + after,
               str(len(before)), str(at % len(words)), *words)


@pytest.mark.parametrize("line, words, reply", [
    ("forkserver run --memory ", ["forkserver", "run", "--memory", ""], "auto freeze collapse off"),
    ("forkserver run --memory=", ["forkserver", "run", "--memory", "="], "auto freeze collapse off"),
    ("forkserver run --memory=", ["forkserver", "run", "--memory", "=", ""], "auto freeze collapse off"),
    ("forkserver run --memory=c", ["forkserver", "run", "--memory", "=", "c"], "collapse"),
    ("forkserver run --memory=c", ["forkserver", "run", "--memory=c"], "--memory=collapse"),  # no = in COMP_WORDBREAKS
    ("forkserver run --mem=c", ["forkserver", "run", "--mem", "=", "c"], "collapse"),
    ("forkserver run --memory --quick", ["forkserver", "run", "--memory", "--quick"], ""),
    ("forkserver  run   --memory  c", ["forkserver", "run", "--memory", "c"], "collapse"),
    ("forkserver run --sandbox none,un", ["forkserver", "run", "--sandbox", "none,un"], "none,unshare="),
    ("forkserver map --threads ", ["forkserver", "map", "--threads", ""], ["setpriv"]),  # serve's; so a program
    ("forkserver ping --threads=w", ["forkserver", "ping", "--threads", "=", "w"], ""),
    ("forkserver nothing ", ["forkserver", "nothing", ""], ""),
    ("forkserver ping ", ["forkserver", "ping", ""], ["-h", "--help", "--json", "--socket"]),
    ("forkserver pi|ng --json", ["forkserver", "ping", "--json"], "ping"),
    ("forkserver call x <ab", ["forkserver", "call", "x", "<", "ab"], "abc.so"),
    ("forkserver run \"a b\" ab", ["forkserver", "run", '"a b"', "ab"], "abc.so"),
    ("forkserver run --preload 'it", ["forkserver", "run", "--preload", "'it"], "it's.so"),
    ("forkserver run --x[$(touch bad)] --$(touch bad)=`touch bad`/x",
     ["forkserver", "run", "--x[$(touch bad)]", "--$(touch bad)=`touch bad`/x"], ""),
])
def test_the_function_of_bash(folder, line, words, reply):
    found = comp_reply(folder, line, words, words.index("ping") if "|" in line else -1)
    if isinstance(reply, list):  # there may be more
        assert set(reply) <= set(found)
    else:
        assert found == reply.split()
    assert not (folder / "bad").exists()


# ---- the tables ----

def accepted(forkserver, module, command):
    text = subprocess.run([forkserver, command], env={**os.environ, "LD_PRELOAD": module("accepted")},
                          capture_output=True, text=True, timeout=LIMIT).stdout
    return {name.removesuffix("=") for name in text.split()}


def offered_by_bash(folder, command):
    return comp_reply(folder, f"forkserver {command} -", ["forkserver", command, "-"])


def offered_by_zsh(folder, command):
    script = f"source <(sed '$d' {shlex.quote(str(COMPLETIONS / SCRIPTS['zsh']))})\n" \
        "local -A operands; _forkserver_table $1 && print -lr -- $arguments"
    return [re.match(r"(?:\([^)]*\)|\*)(--?[\w-]+?)[=+]?\[", line)[1] for line in ask(folder, "zsh", "-f", "-c", script,
                                                                                    "zsh", command)]


def offered_by_fish(folder, command):
    script = f"source {shlex.quote(str(COMPLETIONS / SCRIPTS['fish']))}; complete -C \"forkserver $argv[1] -\"" \
        " | string replace -r '\\t.*' ''"
    return ask(folder, "fish", "--no-config", "-c", script, "--", command)


@pytest.mark.parametrize("shell, offered", [("bash", offered_by_bash), ("zsh", offered_by_zsh),
                                            ("fish", offered_by_fish)])
def test_each_offers_what_is_accepted(forkserver, module, folder, shell, offered):
    need(shell)
    text = subprocess.check_output([forkserver, "help"], text=True).split("Commands:\n")[1].split("\n\n")[0]
    for command in set(re.findall(r"^  (\w+)", text, re.MULTILINE)) - {"help"}:
        found = offered(folder, command)
        assert set(found) == accepted(forkserver, module, command), command
        assert len(found) == len(set(found)), command


@pytest.mark.parametrize("shell, script", SCRIPTS.items())
def test_syntax(folder, shell, script):
    need(shell)
    assert ask(folder, shell, "-n", str(COMPLETIONS / script)) == []
