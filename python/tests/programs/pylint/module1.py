# SPDX-License-Identifier: MIT
"""Module 1: what pylint finds in it is the same from every process."""
import os


def function(argument, unused):
    """Says nothing."""
    variable = 1
    return argument.missing + undefined_name


class thing:
    def method(self):
        return self.nothing
