"""Compiles ahead, so that no cold start compiles anything. A program of its own: see deployment/isolated.py.

A .pyc file holds the time and size of its source, or a hash that is compared with the source, or a hash that nobody
compares (PEP 552). Times do not survive a zip file, and a .pyc that looks stale is compiled anew at every start, for
Azure's disk is read-only; to compare hashes is to read every source. A package never changes once it is built, so its
files are of the third kind.

In a process of its own because what marshal writes depends on which strings the process holds besides: one that has
imported always the same, and compiles in an order that is always the same, writes always the same bytes.
"""

import json
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.util import cache_from_source
from pathlib import Path
from py_compile import PycInvalidationMode
from py_compile import compile as compile_file

__all__ = ["compile_sources"]


def compile_sources(root: str, in_place: Sequence[str], beside: Sequence[str]) -> None:
    """Compile files, given by their paths below `root`, which tracebacks will name them by.

    in_place: x.pyc takes the place of x.py. beside: x.py stays, and its .pyc goes into __pycache__ beside it.
    Raises py_compile.PyCompileError.
    """
    os.chdir(root)
    for source in sorted([*in_place, *beside]):
        compiled = cache_from_source(source, optimization="") if source in set(beside) else f"{source}c"
        compile_file(
            source, compiled, source, doraise=True, optimize=0, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
        )
    for source in in_place:
        Path(source).unlink()


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of other people's code
    compile_sources(**json.load(sys.stdin))
    print("null")
