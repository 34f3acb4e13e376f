"""Peers that may or may not be installed (requirements-bench.txt), called the way their documentation does."""

import importlib
import importlib.machinery
import importlib.util
import sys
import types


def installed(module):
    """Return whether a package can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def adversarial_library():
    """Import adv-lib's attacks.

    Importing it asks for visdom, which only its live plots use and whose source no longer builds everywhere; an
    empty module takes its place where it is missing.
    """
    if not installed("visdom"):
        empty = sys.modules["visdom"] = types.ModuleType("visdom")
        empty.__spec__ = importlib.machinery.ModuleSpec("visdom", None)  # without one, find_spec raises an error
        empty.Visdom = None
    return importlib.import_module("adv_lib.attacks")
