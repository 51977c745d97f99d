# SPDX-License-Identifier: MIT
"""Module 2: what pylint finds in it is the same from every process."""
import os


def function(argument, unused):
    """Says nothing."""
    variable = 2
    return argument.missing + undefined_name


class thing:
    def method(self):
        return self.nothing
