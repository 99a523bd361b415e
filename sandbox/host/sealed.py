"""Packages that a deployment has only in part: to ask for more of them ends the host, and no test passes over it."""

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

STATUS = 3
"""The exit status of a host that was asked for a module that is not there."""


def seal(packages: Sequence[str]) -> None:
    """From now on, importing a module of these packages that is not there ends the process and says which it was.

    Whoever asked may catch its ModuleNotFoundError and go on in some other way; nobody would hear of it.
    """
    sys.meta_path.append(_Sealed(frozenset(packages)))


class _Sealed(MetaPathFinder):
    def __init__(self, packages: frozenset[str]) -> None:
        self._packages = packages

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the import system's signature
        target: ModuleType | None = None,  # noqa: ARG002
        /,
    ) -> ModuleSpec | None:
        """Asked only when nobody else has found the module."""
        if fullname.partition(".")[0] in self._packages:
            os.write(2, f"sandbox.host: {fullname} is asked for and is not in this app\n".encode())
            os._exit(STATUS)
        return None
