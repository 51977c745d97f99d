# SPDX-License-Identifier: MIT
"""python3 -m doctest of a file."""
# run: -m doctest -v tested.py
# file: tested.py
"""
>>> import multiprocessing as mp
>>> process = mp.Process(target=int); process.start(); process.join(); process.exitcode
0
"""
