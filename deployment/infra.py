"""The Bicep files checked, and what is made of them written: `make infra`, `make infra-write`, `make checkov`.

azuredeploy.json is what the "Deploy to Azure" button takes. A snapshot beside a parameter file holds the resources as
they would be deployed with it; the tests of infra/ read those, so they need no compiler.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from http.client import parse_headers
from pathlib import Path
from typing import Any, Final, Self

from deployment import DeploymentError

INFRA: Final = Path(__file__).parents[1] / "infra"
PARAMETERS: Final = INFRA / "parameters"
COMPILED: Final = INFRA / "azuredeploy.json"
# Where the snapshots pretend to be deployed to. Any subscription gives the same resources under other ids.
PLACE: Final = {
    "subscriptionId": "00000000-0000-0000-0000-000000000001",
    "resourceGroup": "mailroom",
    "location": "westeurope",
}
CHECKOV: Final = "checkov==3.3.30"
TEMPLATE: Final = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def compiler() -> str | None:
    """The Bicep compiler on PATH."""
    return shutil.which("bicep")


class Bicep:
    """The Bicep compiler, one process for all questions, since it takes seconds to start. Raises DeploymentError.

    It speaks JSON-RPC: https://github.com/Azure/bicep, src/Bicep.Cli/Rpc/ICliJsonRpcProtocol.cs.
    """

    def __init__(self) -> None:
        found = compiler()
        if found is None:
            url = "https://learn.microsoft.com/azure/azure-resource-manager/bicep/install"
            raise DeploymentError(f"There is no bicep on PATH: {url}")
        # A process of a few seconds does not live long enough to gain from .NET's profiling of its own code.
        environment = {**os.environ, "DOTNET_TieredPGO": "0"}
        self._process = subprocess.Popen(
            [found, "jsonrpc", "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def build(self, file: Path) -> tuple[list[str], dict[str, Any]]:
        """Compile a .bicep or .bicepparam file, and lint it.

        Returns the faults, warnings among them, as lines; and the answer, with the texts `contents` of a template, or
        `parameters` and `template` of parameters, where there is no error.
        """
        if file.suffix == ".bicep":
            answer = self._ask("compile", file)
        else:
            answer = self._ask("compileParams", file, parameterOverrides={})
        return [_line(one) for one in answer["diagnostics"]], answer

    def formatted(self, file: Path) -> str:
        return str(self._ask("format", file)["contents"])

    def snapshot(self, file: Path) -> dict[str, Any]:
        """The resources and outputs of a .bicepparam file, as if it were deployed to PLACE."""
        found: dict[str, Any] = json.loads(
            self._ask("getSnapshot", file, metadata=PLACE, externalInputs=None)["snapshot"]
        )
        return found

    def _ask(self, method: str, file: Path, **more: Any) -> dict[str, Any]:
        to, answers = self._process.stdin, self._process.stdout
        assert to is not None  # noqa: S101 - both are pipes
        assert answers is not None  # noqa: S101
        parameters = {"path": str(file), **more}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": f"bicep/{method}", "params": parameters}).encode()
        to.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        to.flush()
        length = parse_headers(answers)["Content-Length"]
        if length is None:
            raise DeploymentError(f"{file}: bicep ended instead of answering bicep/{method}")
        answer = json.loads(answers.read(int(length)))
        if "error" in answer:
            raise DeploymentError(f"{file}: {answer['error']['message']} (bicep/{method})")
        result: dict[str, Any] = answer["result"]
        return result


def check(bicep: Bicep) -> Iterator[str]:
    """What is wrong, a line each: warnings of compiler and linter, format, outdated files."""
    template = None
    faults: list[str] = []
    for file in _files():
        found, answer = bicep.build(file)
        faults += found
        if file == INFRA / "main.bicep":
            template = answer.get("contents")
        if bicep.formatted(file) != file.read_text():
            faults.append(f"{_named(file)}: is not formatted; make infra-write does it")
    yield from dict.fromkeys(faults)  # a file's faults are reported again with each file that uses it
    if template is None:
        return
    for file in parameter_sets():
        kept = snapshot_of(file)
        if not kept.exists() or _read(kept) != bicep.snapshot(file):
            yield f"{_named(kept)}: is outdated; make infra-write writes it"
    if _without_generator(json.loads(template)) != _without_generator(_read(COMPILED)):
        yield f"{_named(COMPILED)}: is not what main.bicep makes; make infra-write writes it"


def write(bicep: Bicep) -> None:
    """Format the files in place, and write what is made of them."""
    for file in _files():
        file.write_text(bicep.formatted(file))
    faults, answer = bicep.build(INFRA / "main.bicep")
    if not answer["success"]:
        raise DeploymentError("\n".join(faults))
    _write(COMPILED, json.loads(answer["contents"]))
    for file in parameter_sets():
        # The compiler gives the outputs in another order each time.
        snapshot = bicep.snapshot(file)
        snapshot["outputs"] = dict(sorted(snapshot["outputs"].items()))
        _write(snapshot_of(file), snapshot)


def parameter_sets() -> list[Path]:
    return sorted(PARAMETERS.glob("*.bicepparam"))


def snapshot_of(parameters: Path) -> Path:
    return parameters.with_suffix(".snapshot.json")


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
        private = any("privateEndpoints" in one["type"] for one in snapshot["predictedResources"])
        with tempfile.TemporaryDirectory() as folder:
            template = Path(folder, f"{file.stem}.json")
            template.write_text(json.dumps(as_template(snapshot), indent=1))
            config = INFRA / f".checkov-{'private' if private else 'public'}.yaml"
            print(f"{_named(file)}, {config.name}:", flush=True)
            command = [str(uvx), CHECKOV, "--file", str(template), "--config-file", str(config)]
            worst = max(worst, subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode)
    return worst


def _files() -> list[Path]:
    return sorted(file for file in INFRA.rglob("*.bicep*") if file.suffix in (".bicep", ".bicepparam"))


def _line(diagnostic: dict[str, Any]) -> str:
    start = diagnostic["range"]["start"]
    place = f"{diagnostic['source']}({start['line'] + 1},{start['char'] + 1})"
    return f"{place} : {diagnostic['level']} {diagnostic['code']}: {diagnostic['message']}"


def _named(file: Path) -> str:
    return str(file.relative_to(INFRA.parent))


def _read(file: Path) -> Any:
    return json.loads(file.read_text())


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


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
        with Bicep() as bicep:
            if what == "write":
                write(bicep)
                return 0
            faults = list(check(bicep))
    except DeploymentError as error:
        faults = [str(error)]
    print(*faults, sep="\n", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
