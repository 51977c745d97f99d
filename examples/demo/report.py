# SPDX-License-Identifier: MIT
"""Sums up the sales of each shop in a CSV file. usage: report.py FILE"""

import os
import sys

try:
    import pandas
except ImportError:  # then the demo shows heavy imports of Python's own library
    pandas = None
    import asyncio, csv, decimal, email.message, http.server, sqlite3, statistics, unittest.mock, xmlrpc.client


def sales_with_pandas(path):
    table = pandas.read_csv(path)
    return table.groupby("shop")["cents"].sum().to_dict()


def sales_without(path):
    sums = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            sums[row["shop"]] = sums.get(row["shop"], 0) + int(row["cents"])
    return sums


def report(path):
    sums = sales_with_pandas(path) if pandas else sales_without(path)
    texts = [f"{shop} {cents / 100:.2f}" for shop, cents in sorted(sums.items())]
    return f"{os.path.basename(path)}: {', '.join(texts)}"


if __name__ == "__main__":
    sys.stdout.write(report(sys.argv[1]) + "\n")  # at once, also with PYTHONUNBUFFERED, as others write there too
