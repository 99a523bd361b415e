"""Running one of the programs of this folder in an interpreter that has nothing of this one: no packages, no settings.

A program reads its request from standard input and writes its answer to standard output, both JSON.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from deployment.errors import DeploymentError

__all__ = ["run"]


def run(program: Path, request: Any) -> Any:
    """What `program` answers to `request`. What it says on standard error is seen here; raises DeploymentError."""
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "SYSTEMROOT", "TMPDIR"}}
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(program)]
    result = subprocess.run(
        command, input=json.dumps(request).encode(), stdout=subprocess.PIPE, env=environment, check=False
    )
    if result.returncode:
        raise DeploymentError(f"deployment/{program.name} failed; what it said is above.")
    return json.loads(result.stdout)
