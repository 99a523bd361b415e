"""The Bicep files checked, and what is made of them written: `make infra`, `make infra-write`, `make checkov`.

azuredeploy.json is what the "Deploy to Azure" button takes. A snapshot beside a parameter file holds the resources as
they would be deployed with it; the tests of infra/ read those, so they need no compiler.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

__all__ = ["INFRA", "PARAMETERS", "PLACE", "as_template", "check", "compiler", "snapshot_of", "write"]

INFRA: Final = Path(__file__).parents[1] / "infra"
PARAMETERS: Final = INFRA / "parameters"
COMPILED: Final = INFRA / "azuredeploy.json"
# Where the snapshots pretend to be deployed to. Any subscription gives the same resources under other ids.
PLACE: Final = (
    "--subscription-id", "00000000-0000-0000-0000-000000000001", "--resource-group", "mailroom",
    "--location", "westeurope",
)  # fmt: skip
FILES: Final = ("**/*.bicep", "**/*.bicepparam")
CHECKOV: Final = "checkov==3.3.30"
TEMPLATE: Final = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


class Fault(Exception):  # noqa: N818 - what is wrong with the files, not with this program
    """A sentence for whoever has written the files."""


def compiler() -> str | None:
    """The Bicep compiler on PATH."""
    return shutil.which("bicep")


def parameter_sets() -> list[Path]:
    return sorted(PARAMETERS.glob("*.bicepparam"))


def snapshot_of(parameters: Path) -> Path:
    return parameters.with_suffix(".snapshot.json")


def check() -> Iterator[str]:
    """What is wrong, a line each: warnings of compiler and linter, format, outdated files."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "infra")
        shutil.copytree(INFRA, copy)
        for files in FILES:
            yield from _said(_bicep("lint", "--pattern", files, folder=INFRA))
            yield from _said(_bicep("format", "--pattern", files, folder=copy))
        yield from _said(_bicep("build-params", "main.bicepparam", "--stdout"))
        for file in sorted(INFRA.rglob("*.bicep*")):
            if (
                file.suffix in (".bicep", ".bicepparam")
                and file.read_text() != (copy / file.relative_to(INFRA)).read_text()
            ):
                yield f"{_named(file)}: is not formatted; make infra-write does it"
        for file in parameter_sets():
            # Not its own comparison (`--mode validate`): that one fails on resources of Microsoft Graph.
            _done(_bicep("snapshot", str(copy / file.relative_to(INFRA)), "--mode", "overwrite", *PLACE))
            kept = snapshot_of(file)
            if not kept.exists() or _read(kept) != _read(copy / kept.relative_to(INFRA)):
                yield f"{_named(kept)}: is outdated; make infra-write writes it"
    if _without_generator(_compiled()) != _without_generator(_read(COMPILED)):
        yield f"{_named(COMPILED)}: is not what main.bicep makes; make infra-write writes it"


def write() -> None:
    """Format the files in place, and write what is made of them."""
    for files in FILES:
        _done(_bicep("format", "--pattern", files, folder=INFRA))
    COMPILED.write_text(json.dumps(_compiled(), indent=2) + "\n")
    for file in parameter_sets():
        _done(_bicep("snapshot", str(file), "--mode", "overwrite", *PLACE))
        # The compiler writes the outputs in another order each time.
        snapshot = _read(snapshot_of(file))
        snapshot["outputs"] = dict(sorted(snapshot["outputs"].items()))
        snapshot_of(file).write_text(json.dumps(snapshot, indent=2, ensure_ascii=False) + "\n")


def as_template(snapshot: dict[str, Any]) -> dict[str, Any]:
    """The resources of a snapshot as one flat template, for tools that read nothing newer."""
    resources = [resource for resource in snapshot["predictedResources"] if "apiVersion" in resource]
    return {"$schema": TEMPLATE, "contentVersion": "1.0.0.0", "resources": resources}


def checkov() -> int:
    """Run checkov, in an environment of its own, on what would be deployed. The network `public` has a list more."""
    worst = 0
    uvx = Path(sys.executable).with_name("uvx")
    for file in parameter_sets():
        snapshot = _read(snapshot_of(file))
        kind = (
            "private" if any("privateEndpoints" in one["type"] for one in snapshot["predictedResources"]) else "public"
        )
        with tempfile.TemporaryDirectory() as folder:
            template = Path(folder, f"{file.stem}.json")
            template.write_text(json.dumps(as_template(snapshot), indent=1))
            config = INFRA / f".checkov-{kind}.yaml"
            print(f"{_named(file)}, {config.name}:", flush=True)
            command = [str(uvx), CHECKOV, "--file", str(template), "--config-file", str(config)]
            worst = max(worst, subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode)
    return worst


def _bicep(*arguments: str, folder: Path = INFRA) -> subprocess.CompletedProcess[str]:
    found = compiler()
    if found is None:
        raise Fault("There is no bicep on PATH: https://learn.microsoft.com/azure/azure-resource-manager/bicep/install")
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=False, cwd=folder)


def _done(run: subprocess.CompletedProcess[str]) -> str:
    if run.returncode:
        raise Fault(run.stderr)
    return run.stdout


def _said(run: subprocess.CompletedProcess[str]) -> Iterator[str]:
    """Warnings count as errors: the compiler says them on standard error and goes on."""
    yield from filter(str.strip, run.stderr.splitlines())
    if run.returncode and not run.stderr.strip():
        yield f"{' '.join(run.args)}: ended with {run.returncode}"


def _named(file: Path) -> str:
    return str(file.relative_to(INFRA.parent))


def _read(file: Path) -> Any:
    return json.loads(file.read_text())


def _compiled() -> Any:
    return json.loads(_done(_bicep("build", str(INFRA / "main.bicep"), "--stdout")))


def _without_generator(template: Any) -> Any:
    """Without what names the compiler's version, and a hash that changes with it."""
    match template:
        case dict():
            return {name: _without_generator(value) for name, value in template.items() if name != "_generator"}
        case list():
            return [_without_generator(item) for item in template]
        case _:
            return template


def main(what: str) -> int:
    try:
        if what == "checkov":
            return checkov()
        if what == "write":
            write()
            return 0
        faults = list(check())
    except Fault as fault:
        faults = [str(fault)]
    print(*faults, sep="\n", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
