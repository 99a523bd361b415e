"""Azurite, started for the tests of one worker."""

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Azurite's account and key are published: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_DEADLINE = 30.0
AZURITE = "sandbox/node_modules/azurite/dist/src/azurite.js"


@contextmanager
def azurite(ports: Sequence[int] = (0, 0, 0)) -> Iterator[tuple[str, Sequence[int]]]:
    """Azurite in memory on loopback, as strict as Azure: its connection string and its ports (blob, queue, table)."""
    loaded = [f"--require={ROOT}/sandbox/{name}.cjs" for name in ("storage_roles", "lean_azurite")]
    node: list[str | Path] = ["node", *loaded, ROOT / AZURITE]
    asked = [f"--{name}Port={port}" for name, port in zip(("blob", "queue", "table"), ports, strict=True)]
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(
        [*node, "--silent", "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence", *asked],
        cwd=folder, text=True, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        found: dict[str, int] = {}
        try:
            while len(found) < len(asked):
                line = process.stdout.readline()
                assert line, "Azurite did not start"
                if said := re.search(
                    r"Azurite (\w+) service is successfully listening at http://127\.0\.0\.1:(\d+)", line
                ):
                    found[said[1].lower()] = int(said[2])
            endpoints = "".join(
                f"{name.capitalize()}Endpoint=http://127.0.0.1:{port}/devstoreaccount1;" for name, port in found.items()
            )
            account = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
            yield f"{account}AccountKey={_KEY};{endpoints}", [found[name] for name in ("blob", "queue", "table")]
        finally:
            process.kill()  # asked politely, it waits for its clients to hang up; it has nothing on disk to lose
            process.wait(_DEADLINE)
