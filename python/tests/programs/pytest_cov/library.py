# SPDX-License-Identifier: MIT
def in_child(flag):
    if flag:
        return "yes"
    return "no"


def never():
    return 1
