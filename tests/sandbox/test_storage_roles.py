"""The sandbox's storage does what the roles in infra/ allow, and refuses what Azure would refuse."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TableServiceClient, UpdateMode
from azure.storage.blob import BlobBlock, BlobServiceClient
from azure.storage.queue import QueueServiceClient

from tests.azurite import azurite
from tests.infra.deployed import ROOT, SETS, deployed

FACTS: Final[dict[str, Any]] = json.loads((ROOT / "sandbox/storage_roles.json").read_text())
ASSIGNMENTS: Final = "Microsoft.Authorization/roleAssignments"
NAMESPACE: Final = "/providers/Microsoft.Storage/storageAccounts/"


@pytest.mark.parametrize("name", SETS)
def test_the_roles_are_those_that_infra_gives_the_app_on_its_account(name: str) -> None:
    """On the whole account: what holds for one container or queue only, the sandbox does not know."""
    account = deployed(name).settings()["AzureWebJobsStorage__blobServiceUri"].removeprefix("https://").split(".")[0]
    found = []
    for one in deployed(name).all(ASSIGNMENTS):
        scope = one["id"].partition(f"/providers/{ASSIGNMENTS.partition('/')[0]}/")[0]
        of_the_app = "'identity-{0}'" in one["properties"]["principalId"]
        if of_the_app and scope.endswith(f"{NAMESPACE}{account}"):
            found.append(one["properties"]["roleDefinitionId"].rpartition("/")[2])
    assert sorted(found) == sorted(FACTS["assigned"])
    assert FACTS["roles"].keys() >= set(FACTS["assigned"])


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(HttpResponseError) as caught:
        call()
    assert caught.value.status_code == 403
    assert "AuthorizationPermissionMismatch" in str(caught.value)
    return str(caught.value)


def test_what_concerns_a_service_is_refused_and_each_thing_in_it_is_allowed(storage: str) -> None:
    """The whole of what the SDKs can ask of a queue, a blob and a row, and what only an account's key could."""
    name = f"t{uuid4().hex}"
    with QueueServiceClient.from_connection_string(storage) as service:
        assert "queueServices/read" in refused(service.get_service_properties)
        refused(lambda: service.set_service_properties(cors=[]))
        queue = service.create_queue(name)
        refused(queue.get_queue_access_policy)
        queue.set_queue_metadata({"a": "b"})
        assert queue.get_queue_properties().metadata == {"a": "b"}
        queue.send_message("one")
        assert [one.content for one in queue.peek_messages()] == ["one"]
        (message,) = queue.receive_messages()
        queue.delete_message(queue.update_message(message, content="two"))
        queue.clear_messages()
        assert name in {one.name for one in service.list_queues()}
        queue.delete_queue()
    with BlobServiceClient.from_connection_string(storage) as blobs:
        assert "blobServices/read" in refused(blobs.get_service_properties)
        refused(lambda: blobs.set_service_properties(cors=[]))
        container = blobs.create_container(name)
        blob = container.upload_blob("a/b", b"x" * 100, metadata={"a": "b"})
        blob.stage_block("1", b"y")
        blob.commit_block_list([BlobBlock("1")])
        assert blob.download_blob().readall() == b"y"
        assert blob.get_blob_properties().size == 1
        assert list(container.list_blob_names()) == ["a/b"]
        assert container.get_container_properties().name == name
        assert name in {one.name for one in blobs.list_containers()}
        blob.delete_blob()
        container.delete_container()
    with TableServiceClient.from_connection_string(storage) as tables:
        assert "tableServices/read" in refused(tables.get_service_properties)
        refused(lambda: tables.set_service_properties(cors=[]))
        table = tables.create_table(name)
        refused(table.get_table_access_policy)
        row = {"PartitionKey": "p", "RowKey": "r", "a": 1}
        made = table.create_entity(row)
        table.update_entity(
            row, mode=UpdateMode.REPLACE, etag=made["etag"], match_condition=MatchConditions.IfNotModified
        )
        table.upsert_entity(row)
        assert table.get_entity("p", "r")["a"] == 1
        assert len(list(table.query_entities("a eq 1"))) == 1
        assert name in {one.name for one in tables.list_tables()}
        table.delete_entity("p", "r")
        tables.delete_table(name)


def test_every_operation_is_noted_once_with_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a run of the sandbox can be searched for what was refused, whoever has swallowed the error."""
    log = tmp_path / "log"
    monkeypatch.setenv("SANDBOX_STORAGE_LOG", str(log))
    with azurite() as (storage, _), QueueServiceClient.from_connection_string(storage) as service:
        queue = service.create_queue("queue")
        for _ in range(3):
            queue.get_queue_properties()
            refused(service.get_service_properties)
    noted = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(one["operation"], one["allowed"]) for one in noted] == [
        ("Create Queue", True), ("Get Queue Metadata", True), ("Queue Service", False),
    ]  # fmt: skip
    assert noted[1]["actions"] == [["queueServices/queues/read"]]
