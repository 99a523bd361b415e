"""Two steps of the build that package.py runs in an interpreter of their own, without the packages of this one.

As a program it reads a request, {"do": "compile" or "functions", "with": arguments}, from standard input and writes its
answer to standard output, both JSON.
"""

import asyncio
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.util import cache_from_source
from pathlib import Path
from py_compile import PycInvalidationMode
from py_compile import compile as compile_file


def compile_sources(root: str, in_place: Sequence[str], beside: Sequence[str]) -> None:
    """Compile files, given by their paths below `root`, ahead, so that no cold start compiles anything.

    in_place: x.pyc takes the place of x.py. beside: x.py stays, and its .pyc goes into __pycache__ beside it.
    Tracebacks name the files by the paths given. Raises py_compile.PyCompileError.

    A .pyc file holds the time and size of its source, or a hash that is compared with the source, or a hash that is not
    compared (PEP 552). Times do not survive a zip file, and a .pyc that looks outdated is compiled anew at every start,
    since Azure's disk is read-only; comparing hashes means reading every source. A package never changes once it is
    built, so its files are of the third kind.

    What marshal writes depends on which other strings the process holds. A process that has imported always the same,
    and compiles in the same order, writes the same bytes.
    """
    os.chdir(root)
    for source in sorted([*in_place, *beside]):
        compiled = cache_from_source(source, optimization="") if source in set(beside) else f"{source}c"
        compile_file(
            source, compiled, source, doraise=True, optimize=0, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
        )
    for source in in_place:
        Path(source).unlink()


def functions(package: str, site_packages: str, checkout: str) -> list[str]:
    """The sorted names of the package's functions, indexed by Microsoft's worker library as when an instance starts.

    An app that does not import has no functions in Azure, without any message; here it fails. checkout: where the
    package `sandbox`, which drives the library, is. Raises RuntimeError with the traceback of function_app.py.
    """
    sys.path[:0] = [site_packages]
    sys.path.append(checkout)
    from sandbox.host.worker import Worker

    sys.path.remove(checkout)  # what is missing in the package must not be found there
    # No function is run. Without the one setting that has no default, Mailroom would report it missing.
    os.environ.setdefault("AzureWebJobsStorage", "UseDevelopmentStorage=true")
    index = asyncio.run(Worker().index(Path(package)))
    if index.error:
        raise RuntimeError(f"function_app.py does not import:\n{index.error}")
    return sorted(each.name for each in index.functions)


if __name__ == "__main__":
    answer = os.dup(1)
    os.dup2(2, 1)  # anything printed meanwhile is not part of the answer
    warnings.simplefilter("ignore")  # about other people's code
    request = json.load(sys.stdin)
    steps: dict[str, Callable[..., object]] = {"compile": compile_sources, "functions": functions}
    result = steps[request["do"]](**request["with"])
    os.write(answer, json.dumps(result).encode())
    os._exit(0)  # without waiting for the library's threads
