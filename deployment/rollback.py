"""`python -m deployment.rollback --environment prod --to v0.1.0`: the code of another version, and nothing else.

That version is checked out beside this one, its package is made by its own `make package`, put into the environment's
app and checked. Resources, settings and secrets stay as they are; so does this checkout. Exit status 1, with a sentence
that says what to do.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployment import publish
from deployment.azure import PUBLIC_CLOUD
from deployment.deployed import app_in
from deployment.environments import INFRA
from deployment.errors import DeploymentError
from deployment.secret import where

__all__ = ["main"]

CHECKOUT = Path(__file__).parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Roll back, or say what is missing. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m deployment.rollback", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--to", required=True, metavar="VERSION", help="a tag or commit of this repository")
    parser.add_argument("--environment", default="", metavar="NAME", help="else the one that azd is set to")
    parser.add_argument("--checkout", type=Path, default=CHECKOUT, metavar="DIR", help=argparse.SUPPRESS)
    parser.add_argument("--infra", type=Path, default=INFRA, metavar="DIR", help=argparse.SUPPRESS)
    parser.add_argument("--manager", default=PUBLIC_CLOUD, metavar="URL", help=f"Resource Manager ({PUBLIC_CLOUD})")
    given = parser.parse_args(arguments)
    try:
        return _roll_back(given)
    except DeploymentError as error:
        print(f"deployment.rollback: {error}", file=sys.stderr)
        return 1


def _roll_back(given: argparse.Namespace) -> int:
    group, name = where(given)
    app = app_in(group, name)
    if app is None:
        raise DeploymentError(f"There is no Mailroom called {name} in {group.resource_group}.")
    with _checked_out(given.checkout, given.to) as folder:
        _run("its package cannot be made", folder, "make", "package")
        place = ["--subscription", app.subscription, "--resource-group", app.resource_group]
        dist = ["--manager", given.manager, "--name", app.name, "--dist", str(folder / "dist")]
        return publish.main([*place, *dist])


@contextmanager
def _checked_out(checkout: Path, version: str) -> Iterator[Path]:
    """A folder with that version, gone at the end. Raises DeploymentError."""
    commit = _run(
        f"TO={version} is no version of this checkout; `git tag` lists them, and `git fetch --tags` gets others",
        checkout, "git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{version}^{{commit}}", capture=True,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="mailroom-") as parent:
        folder = Path(parent, "checkout")
        _run("it cannot be checked out", checkout, "git", "worktree", "add", "--detach", str(folder), commit)
        try:
            yield folder
        finally:
            _run("git keeps it", checkout, "git", "worktree", "remove", "--force", str(folder))


def _run(otherwise: str, folder: Path, program: str, *arguments: str, capture: bool = False) -> str:
    """Run a program. Raises DeploymentError that says `otherwise`."""
    found = shutil.which(program)
    if found is None:
        raise DeploymentError(f"{program} is not installed here.")
    command = [found, *arguments]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE if capture else None, text=True, check=False)
    if done.returncode:
        raise DeploymentError(f"{otherwise} ({program} {arguments[0]} has failed).")
    return (done.stdout or "").strip()


if __name__ == "__main__":
    sys.exit(main())
