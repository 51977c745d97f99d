# SPDX-License-Identifier: MIT
"""
An adversary in a sandbox: tests/modules/escapes/ tries some 300 ways out, each in a process of its own. None works.
Without a sandbox most do, else they would show nothing.
"""

import os

import pytest

from conftest import DENY, NOBODY
from escape import REFUSALS, Place, Prisoner, names

# What is refused without a sandbox, at least in part of the tests' machines, and by what. So these show little there.
SHARES = {0: 0.7, NOBODY: 0.45}


def uids():
    return [0, NOBODY] if os.geteuid() == 0 else [os.geteuid()]


@pytest.fixture(params=uids())
def place(request):
    if request.param == NOBODY:
        request.getfixturevalue("other_user")
    place = Place(request.param)
    yield place
    place.close()


@pytest.fixture
def imprison(program, module, place):
    made = []

    def imprison(profile=None):
        made.append(Prisoner(program, module("escapes"), place, profile))
        return made[-1]

    yield imprison
    for prisoner in made:
        prisoner.end()


@pytest.mark.skipif(bool(DENY), reason="what is denied here works without a sandbox neither")
def test_control(imprison, place):
    """Without a sandbox: each attempt says something, and most work."""
    prisoner = imprison()
    found = {name: prisoner.attempt(name) for name in names(prisoner)}
    assert len(found) > 250
    assert not [name for name, (verdict, _) in found.items() if verdict == "unclear"]
    working = [name for name, (verdict, _) in found.items() if verdict == "worked"]
    assert len(working) > SHARES.get(place.uid, 0.4) * len(found), \
        {name: why for name, (verdict, why) in found.items() if verdict != "worked"}
