"""`python -m deployment.rollback --environment prod --to v0.1.0`: deploy the code of another version, and nothing else.

That version is checked out into a temporary folder, its own `make package` builds its package, and that is published to
the environment's app and checked. Resources, settings, secrets and this checkout stay as they are. Exit status 1, with
a sentence that says what to do.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployment import DeploymentError, publish
from deployment.azure import add_manager
from deployment.deployed import app_in
from deployment.environments import INFRA, located

CHECKOUT = Path(__file__).parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Roll back, or say what is missing. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m deployment.rollback", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--to", required=True, metavar="VERSION", help="a tag or commit of this repository")
    parser.add_argument("--environment", default="", metavar="NAME", help="else the one that azd is set to")
    parser.add_argument("--routes", type=Path, metavar="DIR", help="a folder of routes of your own, to be packed too")
    parser.add_argument("--checkout", type=Path, default=CHECKOUT, metavar="DIR", help=argparse.SUPPRESS)
    parser.add_argument("--infra", type=Path, default=INFRA, metavar="DIR", help=argparse.SUPPRESS)
    add_manager(parser)
    given = parser.parse_args(arguments)
    try:
        return _roll_back(given)
    except DeploymentError as error:
        print(f"deployment.rollback: {error}", file=sys.stderr)
        return 1


def _roll_back(given: argparse.Namespace) -> int:
    group, name = located(given.environment, given.infra, given.manager)
    app = app_in(group, name)
    if app is None:
        raise DeploymentError(f"There is no Mailroom called {name} in {group.resource_group}.")
    with _checked_out(given.checkout, given.to) as folder:
        routes = [f"ROUTES={given.routes.resolve()}"] if given.routes else []
        _run("The package of that version cannot be built", folder, "make", "package", *routes)
        place = ["--subscription", app.subscription, "--resource-group", app.resource_group]
        dist = ["--manager", given.manager, "--name", app.name, "--dist", str(folder / "dist")]
        return publish.main([*place, *dist])


@contextmanager
def _checked_out(checkout: Path, version: str) -> Iterator[Path]:
    """A temporary folder with that version. Raises DeploymentError."""
    commit = _run(
        f"TO={version} is not a version of this checkout; `git tag` lists them, and `git fetch --tags` gets others",
        checkout, "git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{version}^{{commit}}", capture=True,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="mailroom-") as parent:
        folder = Path(parent, "checkout")
        _run("The version cannot be checked out", checkout, "git", "worktree", "add", "--detach", str(folder), commit)
        try:
            yield folder
        finally:
            _run(
                "The temporary worktree cannot be removed",
                checkout,
                "git",
                "worktree",
                "remove",
                "--force",
                str(folder),
            )


def _run(otherwise: str, folder: Path, program: str, *arguments: str, capture: bool = False) -> str:
    """Run a program. Raises DeploymentError that says `otherwise`."""
    found = shutil.which(program)
    if found is None:
        raise DeploymentError(f"{program} is not installed here.")
    command = [found, *arguments]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE if capture else None, text=True, check=False)
    if done.returncode:
        raise DeploymentError(f"{otherwise} ({program} {arguments[0]} failed).")
    return (done.stdout or "").strip()


if __name__ == "__main__":
    sys.exit(main())
