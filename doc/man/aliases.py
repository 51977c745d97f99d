#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes a page for each function and struct that leads to the page where it is described.

usage: aliases.py LIST DIRECTORY
"""
import os
import sys


def main():
    path, directory = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        for name, page in map(str.split, file):
            with open(os.path.join(directory, name), "w", encoding="utf-8") as alias:
                alias.write(f".so man3/{page}\n")


if __name__ == "__main__":
    main()
