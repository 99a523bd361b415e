"""Reads how to connect to the storage account: with a connection string, or with endpoints and the app's identity.

https://learn.microsoft.com/azure/azure-functions/functions-reference (connections by identity)
"""

from dataclasses import dataclass, field
from typing import Final

from shared.settings.clouds import Cloud
from shared.settings.environ import Problem, Reader, Wrong

STORAGE: Final = "AzureWebJobsStorage"  # never shown
# What `UseDevelopmentStorage=true` stands for: Azurite's published account, on its default ports.
DEVELOPMENT_STORAGE: Final = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)


@dataclass(frozen=True, slots=True)
class Storage:
    """The storage account: by connection string (a laptop) or by endpoints and the app's identity (Azure)."""

    connection_string: str | None = field(default=None, repr=False)
    blob_endpoint: str = ""
    queue_endpoint: str = ""
    table_endpoint: str = ""
    client_id: str | None = None


def read_storage(reader: Reader, cloud: Cloud) -> Storage:
    """The account that AzureWebJobsStorage says, or its settings for a connection by identity."""
    if reader.given(STORAGE):
        for other in sorted(one for one in reader.environ if one.startswith(f"{STORAGE}__") and reader.given(one)):
            reader.unused.append(Problem(other, "a value", f"nothing, since {STORAGE} is set and takes its place"))
        expected = "AccountName=…;… or UseDevelopmentStorage=true"
        return Storage(reader.parsed(STORAGE, None, _connection_string, expected))
    account = reader.text(f"{STORAGE}__accountName")
    endpoints = {
        kind: reader.url(f"{STORAGE}__{kind}ServiceUri", "")
        or (f"https://{account}.{kind}.{cloud.storage}" if account else "")
        for kind in ("blob", "queue", "table")
    }
    if not any(endpoints.values()):
        reader.wrong(
            STORAGE, "nothing", f"a connection string, or {STORAGE}__accountName for the identity's connection"
        )
    else:
        for kind in (kind for kind, endpoint in endpoints.items() if not endpoint):
            expected = f"the service's URL (or {STORAGE}__accountName for all)"
            reader.wrong(f"{STORAGE}__{kind}ServiceUri", "nothing", expected)
    return Storage(
        blob_endpoint=endpoints["blob"],
        queue_endpoint=endpoints["queue"],
        table_endpoint=endpoints["table"],
        client_id=reader.guid(f"{STORAGE}__clientId"),
    )


def _connection_string(value: str) -> str:
    if value.rstrip(";").lower() == "usedevelopmentstorage=true":
        return DEVELOPMENT_STORAGE
    given = {part.partition("=")[0].strip().lower() for part in value.split(";")}
    by_key = {"accountname", "accountkey"} <= given
    by_signature = "sharedaccesssignature" in given and ("accountname" in given or "queueendpoint" in given)
    if not by_key and not by_signature:
        raise Wrong("a value (not shown)")
    return value
