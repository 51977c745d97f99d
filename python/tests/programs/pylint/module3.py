# SPDX-License-Identifier: MIT
"""Module 3: what pylint finds in it is the same from every process."""
import os


def function(argument, unused):
    """Says nothing."""
    variable = 3
    return argument.missing + undefined_name


class thing:
    def method(self):
        return self.nothing
