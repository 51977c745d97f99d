#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes a man page of its source by scdoc, and mends what scdoc leaves as it is: names are not cut in two at the end of
a line, and the hyphens of options stay such, so that one can search for them and copy them.

usage: roff.py SCDOC SOURCE PAGE
"""
import re
import subprocess
import sys

OPTION = re.compile(r"(?:(?<=\\f[BIR])|(?<![\w\\)'-]))--?[A-Za-z0-9][\w-]*")


def mend(line):
    if line.startswith(".TH "):
        return f"{line}\n.nh"
    return line if line.startswith(".") else OPTION.sub(lambda match: match[0].replace("-", r"\-"), line)


def main():
    scdoc, source, page = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        text = subprocess.run([scdoc], stdin=file, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    with open(page, "w", encoding="utf-8") as file:
        file.write("\n".join(map(mend, text.split("\n"))))


if __name__ == "__main__":
    main()
