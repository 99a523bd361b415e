"""Which functions a package has, asked of Microsoft's worker library. A program of its own: see deployment/isolated.py.

What Azure does when an instance starts is done here with the package's own files and packages: import function_app.py
and index it. An app that does not import has no functions in Azure, and says nothing; here it fails.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

__all__ = ["functions"]


def functions(package: str, site_packages: str, checkout: str) -> list[str]:
    """The names of the package's functions, sorted. checkout: where `sandbox`, which drives the library, is.

    Raises RuntimeError with the traceback of function_app.py when that does not import.
    """
    sys.path[:0] = [site_packages]
    sys.path.append(checkout)
    from sandbox.host.worker import Worker

    sys.path.remove(checkout)  # what is missing in the package must not be found there
    # No function is run; without the one setting that has no default, Mailroom would say that it is missing.
    os.environ.setdefault("AzureWebJobsStorage", "UseDevelopmentStorage=true")
    index = asyncio.run(Worker().index(Path(package)))
    if index.error:
        raise RuntimeError(f"function_app.py does not import:\n{index.error}")
    return sorted(each.name for each in index.functions)


if __name__ == "__main__":
    # Whatever is printed meanwhile is no answer.
    answer = os.dup(1)
    os.dup2(2, 1)
    found = functions(**json.load(sys.stdin))
    os.write(answer, json.dumps(found).encode())
    os._exit(0)  # the library's threads need not end
