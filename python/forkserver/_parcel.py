# SPDX-License-Identifier: MIT
"""A pickle and its large buffers, side by side in one piece of memory, so that nothing large is copied twice."""

import errno
import importlib
import io
import pickle
import struct
import sys
import types

from multiprocessing import reduction

from ._error import Error

_HEAD = struct.Struct("<II")  # its kind, and how many parts it has; the size of each part follows
_SIZE = struct.Struct("<Q")
_ALIGNED = 64
_PLAIN = (type(None), bool, int, float, str, bytes)
LARGE = 1 << 14  # bytes from which a buffer travels apart from the pickle


class _Pickler(reduction.ForkingPickler):
    """Pickles as multiprocessing does, and views of memory too."""

    def __init__(self, *args):
        super().__init__(*args)
        self.dispatch_table[memoryview] = _reduce_view


class _FindingPickler(_Pickler):
    """Pickles by the name in its module each function that is there under another name than its own: a lambda, or one
    that a decorator has made."""

    def reducer_override(self, value):
        if type(value) is types.FunctionType:
            for name, found in list(vars(sys.modules.get(value.__module__, types)).items()):
                if found is value and name != value.__qualname__:
                    return _restore_function, (value.__module__, name)
        return NotImplemented


def _restore_function(module, name):
    found = importlib.import_module(module)
    try:
        return getattr(found, name)
    except AttributeError as error:
        raise AttributeError(f"{error} in this process: if it is a lambda, or made by a decorator, it has to be made "
                             "when the module is imported, outside the main guard; pickler=cloudpickle takes "
                             "others") from None


def _reduce_view(view):
    if not view.c_contiguous:
        view = memoryview(view.tobytes()).cast(view.format, view.shape)
    return _restore_view, (pickle.PickleBuffer(view), view.format, view.shape)


def _restore_view(buffer, form, shape):
    view = memoryview(buffer)
    return view.cast("B").cast(form, shape) if view.nbytes else view


def dumps(value, protocol=5, buffer_callback=None):
    """Pickles by multiprocessing's rules. It is the default of all that take a pickler."""
    return _dumps(_Pickler, value, protocol, buffer_callback)


def _dumps(cls, value, protocol, buffer_callback):
    buffer = io.BytesIO()
    cls(buffer, protocol, True, buffer_callback).dump(value)
    return buffer.getbuffer()


loads = pickle.loads


def dump(pickler, value):
    """Returns [the pickle, large buffer…]. `pickler`: a module, or an object, with dumps() and loads(), as pickle."""
    if type(value) in _PLAIN and pickler.loads is pickle.loads:
        return [pickle.dumps(value, 5)]  # it writes to 60 pages of a child less
    buffers = []

    def take(buffer):
        try:
            raw = buffer.raw()
        except BufferError:
            return True  # it isn't contiguous, so the pickle has it
        if raw.nbytes >= LARGE:
            buffers.append(raw)
        return raw.nbytes < LARGE

    try:
        return [pickler.dumps(value, protocol=5, buffer_callback=take), *buffers]
    except (pickle.PicklingError, AttributeError):
        if pickler is not sys.modules[__name__]:
            raise
    buffers.clear()
    return [_dumps(_FindingPickler, value, 5, take), *buffers]  # it takes longer, for each object


def _aligned(n):
    return -n % _ALIGNED + n


def pack(kind, parts, make_room):
    """Writes all of it to make_room(size)."""
    parts = [memoryview(part).cast("B") if memoryview(part).nbytes else b"" for part in parts]
    sizes = [len(part) for part in parts]
    at = _HEAD.size + _SIZE.size * len(parts)
    room = make_room(_aligned(at) + sum(map(_aligned, sizes)))
    room[:at] = _HEAD.pack(kind, len(parts)) + b"".join(map(_SIZE.pack, sizes))
    at = _aligned(at)
    for part, size in zip(parts, sizes):
        if size:
            room[at:at + size] = part
        at += _aligned(size)


def to_bytes(kind, parts):
    """Returns what pack() writes."""
    made = []

    def make_room(size):
        made.append(bytearray(size))
        return memoryview(made[0])

    pack(kind, parts, make_room)
    return made[0]


def unpack(room):
    """Returns (kind, parts), the parts as views. Error with EPROTO: this was never packed."""
    room = memoryview(room)
    try:
        kind, n = _HEAD.unpack_from(room)
        sizes = [size for size, in _SIZE.iter_unpack(room[_HEAD.size:_HEAD.size + _SIZE.size * n])]
    except struct.error:
        n, sizes = 1, []
    at, parts = _aligned(_HEAD.size + _SIZE.size * n), []
    for size in sizes:
        parts.append(room[at:at + size])
        at += _aligned(size)
    if not sizes or len(sizes) != n or at > len(room):
        raise Error(errno.EPROTO, "what came is no result", "result")
    return kind, parts
