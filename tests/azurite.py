"""Azurite, started for the tests of one worker."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from sandbox.parts import AZURITE_LISTENS, COMMANDS, Storage

_DEADLINE = 30.0


@contextmanager
def azurite(ports: Sequence[int] = (0, 0, 0)) -> Iterator[tuple[str, Sequence[int]]]:
    """Azurite in memory on loopback, as strict as Azure: its connection string and its ports (blob, queue, table)."""
    asked = [f"--{name}Port={port}" for name, port in zip(("blob", "queue", "table"), ports, strict=True)]
    options = ["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence"]
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(
        [*COMMANDS["storage"], *options, *asked], cwd=folder, text=True, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        urls: dict[str, str] = {}
        try:
            while len(urls) < len(asked):
                line = process.stdout.readline()
                assert line, "Azurite did not start"
                if said := AZURITE_LISTENS.search(line):
                    urls[said[1].lower()] = said[2]
            found = [urlsplit(urls[name]).port or 0 for name in ("blob", "queue", "table")]
            yield Storage(**urls).connection_string, found
        finally:
            process.kill()  # asked politely, it waits for its clients to hang up; it has nothing on disk to lose
            process.wait(_DEADLINE)
