"""Kusto queries as Microsoft's own language service reads them: their faults, their columns, their syntax tree."""

import atexit
import json
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.infra.deployed import ROOT

type Node = dict[str, Any]
"""A node of the tree: `kind`, `text`, mostly `type`, and its parts by the names that the service gives them."""

SERVICE: Final = ROOT / "sandbox/node_modules/@kusto/language-service-next"
TELEMETRY: Final = {"TimeGenerated": "datetime", "OperationName": "string", "OperationId": "string"}
TELEMETRY_ENDS: Final = {"AppRoleInstance": "string", "ItemCount": "int", "Properties": "dynamic"}
SCHEMAS: Final = {  # https://learn.microsoft.com/azure/azure-monitor/reference/tables/apptraces and so on
    "AppTraces": TELEMETRY | {"Message": "string", "SeverityLevel": "int"} | TELEMETRY_ENDS,
    "AppRequests": TELEMETRY
    | {"Name": "string", "ResultCode": "string", "Success": "bool", "DurationMs": "real"}
    | TELEMETRY_ENDS,
    "AppExceptions": TELEMETRY
    | {"ExceptionType": "string", "InnermostType": "string", "InnermostMessage": "string", "OuterType": "string"}
    | TELEMETRY_ENDS,
}


@dataclass(frozen=True, slots=True)
class QueryReading:
    faults: tuple[str, ...]
    columns: dict[str, str]
    """Of the result: name and type."""
    tree: Node


@cache
def read(query: str) -> QueryReading:
    service = _service()
    assert service.stdin
    assert service.stdout
    service.stdin.write(json.dumps(query) + "\n")
    service.stdin.flush()
    answer = service.stdout.readline()
    assert answer, "the language service has ended; its reason stands above"
    said = json.loads(answer)
    return QueryReading(tuple(said["faults"]), said["columns"], said["tree"])


@cache
def _service() -> subprocess.Popen[str]:
    """One for all queries: it takes a second to start."""
    node = shutil.which("node")
    assert node
    command = [node, str(Path(__file__).with_name("service.cjs")), str(SERVICE), json.dumps(SCHEMAS)]
    service = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(_end, service)
    return service


def _end(service: subprocess.Popen[str]) -> None:
    service.kill()
    service.communicate()  # closes its pipes
