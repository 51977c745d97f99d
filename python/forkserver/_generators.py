# SPDX-License-Identifier: MIT
"""Random generators that were made in the zygote: siblings are not to draw the same numbers."""

import gc
import random
import sys

from . import _native

_seeded = set()  # ids of generators that a program has seeded with a value of its own
_entropy = set()  # what numpy has drawn for those that have not been seeded
_seed = random.Random.seed
_randbits = None  # the real secrets.randbits, where it is watched


def watch(numpy):
    """Notes from now on which generators are seeded. numpy: also what it seeds the others with, by way of a module
    that takes a large library along."""
    def seed(self, a=None, version=2):
        (_seeded.discard if a is None else _seeded.add)(id(self))
        return _seed(self, a, version)

    seed.__doc__, seed.__qualname__, seed.__module__ = _seed.__doc__, _seed.__qualname__, _seed.__module__
    random.Random.seed = seed
    if numpy:
        _watch_numpy()


def _watch_numpy():
    global _randbits
    import secrets

    randbits = _randbits = secrets.randbits

    def drawn(k):
        value = randbits(k)
        _entropy.add(value)
        return value

    secrets.randbits = drawn  # numpy.random takes it by its name, once


def unwatch():
    random.Random.seed = _seed
    if _randbits is not None:
        for name in ("secrets", "numpy.random.bit_generator"):
            if hasattr(sys.modules.get(name), "randbits"):
                sys.modules[name].randbits = _randbits


def _numpy():
    """The module that has numpy's generators, if it is loaded."""
    return sys.modules.get("numpy.random._generator") and sys.modules.get("numpy.random")


def _sequence(bits):
    return getattr(bits, "seed_seq", None) or getattr(bits, "_seed_seq", None)


def _is_fresh(bits):
    """Whether the generator has not been seeded since it was made. Numbers may have been drawn from an MT19937."""
    sequence = _sequence(bits)
    try:
        made = type(bits)(type(sequence)(sequence.entropy, spawn_key=sequence.spawn_key, pool_size=sequence.pool_size))
        now, then = bits.state, made.state
        if now["bit_generator"] == "MT19937":
            return bool((now["state"]["key"] == then["state"]["key"]).all())
        return True
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def _is_unseeded(bits):
    sequence = _sequence(bits)
    entropy = getattr(sequence, "entropy", None)
    # Where that was not watched: only numpy itself takes a seed of 128 bits, or nearly so.
    drawn = entropy in _entropy if _randbits else type(entropy) is int and entropy.bit_length() > 64
    return drawn and not getattr(sequence, "spawn_key", ()) and _is_fresh(bits)


def _found():
    """Finds all generators: those of `random`; of numpy the bit generators, and RandomState for the one behind it."""
    numpy, result = _numpy(), []
    kinds = (random.Random,)
    if numpy is not None:
        kinds += (numpy.BitGenerator, numpy.RandomState)
    for thing in gc.get_objects():
        try:
            if isinstance(thing, kinds) and not isinstance(thing, random.SystemRandom):
                result.append(thing)
        except Exception:  # a proxy, whose object has gone
            pass
    return result


def are_fresh():
    """Whether the generator behind numpy.random's functions has not been seeded. True where numpy isn't loaded."""
    shared = getattr(getattr(_numpy(), "mtrand", None), "_rand", None)
    return shared is None or _is_fresh(shared._bit_generator)


def _fresh_numbers(bits):
    """Numbers that give a bit generator of numpy's another state."""
    if type(bits).__name__ == "MT19937":  # in C, at the price of one page
        return lambda address=bits.ctypes.state_address: _native.reseed(address)

    def fresh():
        bits.state = type(bits)().state

    return fresh


def _forget_pair(rand):
    """Drops the second number of a pair. Normal numbers come in pairs, and each child would draw the second one of
    ours."""
    state = rand.get_state(legacy=False)
    if state.get("has_gauss"):
        rand.set_state({**state, "has_gauss": 0})


def _calls():
    shared = getattr(getattr(_numpy(), "mtrand", None), "_rand", None)
    common, inner = getattr(random, "_inst", None), getattr(shared, "_bit_generator", None)
    for generator in _found():
        if isinstance(generator, random.Random):
            if generator is not common and id(generator) not in _seeded:
                yield generator.seed
        elif hasattr(generator, "set_state"):
            if generator is shared or _is_unseeded(generator._bit_generator):
                _forget_pair(generator)
        elif generator is inner or _is_unseeded(generator):
            yield _fresh_numbers(generator)


def find_reseed():
    """Returns a function that gives each standby's generators numbers of their own. None: there are no generators but
    the one behind `random`'s functions, which does that by itself.

    A generator that was seeded keeps its numbers, as under CPython's fork server. The one behind numpy.random's
    functions is the exception: of that one nothing can be known."""
    calls = list(_calls())
    unwatch()
    if not calls:
        return None

    def reseed():
        for call in calls:
            call()

    return reseed
