# SPDX-License-Identifier: MIT
"""Module 4: what pylint finds in it is the same from every process."""
import os


def function(argument, unused):
    """Says nothing."""
    variable = 4
    return argument.missing + undefined_name


class thing:
    def method(self):
        return self.nothing
