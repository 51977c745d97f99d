# SPDX-License-Identifier: MIT
"""Objects that live for ever anyway. Since 3.12 nothing counts references to them, so no child copies a page for
that."""

import gc
import sys
import types
import weakref

from importlib import machinery

from . import _native

_SIMPLE = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType,
           types.GetSetDescriptorType, types.MemberDescriptorType, types.ClassMethodDescriptorType,
           staticmethod, classmethod, property)
_OF_IMPORT = (machinery.ModuleSpec, machinery.SourceFileLoader, machinery.ExtensionFileLoader)


def make():
    """Makes immortal what the zygote has loaded, unless something could wait for its end. Returns how many objects
    that are."""
    if sys.version_info < (3, 12) or sys.byteorder != "little":
        return 0
    kinds = (types.CodeType, types.FunctionType, types.ModuleType, types.CellType)
    return _native.immortalize(gc.get_objects(), kinds, _SIMPLE, _OF_IMPORT, weakref.getweakrefs)
