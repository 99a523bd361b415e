"""Mailroom's own files, as the package has them: whatever .funcignore does not name."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pathspec import GitIgnoreSpec

__all__ = ["deployed"]

IGNORE_FILE = ".funcignore"


def deployed(checkout: Path) -> Iterator[PurePosixPath]:
    """The files of a checkout that Azure runs, by their paths in it, in an order that is always the same.

    .funcignore has the syntax of .gitignore, and a folder that it names is not looked into: so read the Functions
    tools and azd. Raises FileNotFoundError when there is none: everything would be deployed.
    """
    ignored = GitIgnoreSpec.from_lines((checkout / IGNORE_FILE).read_text(encoding="utf-8").splitlines())
    for folder, below, files in os.walk(checkout):
        here = PurePosixPath(Path(folder).relative_to(checkout).as_posix())
        below[:] = sorted(name for name in below if not ignored.match_file(f"{here / name}/"))
        yield from (here / name for name in sorted(files) if not ignored.match_file(here / name))
