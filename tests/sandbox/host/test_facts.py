"""What the real functions host and its Python worker do that an app notices, and the test that shows it here.

Each row: the fact; where it can be read; its test. Sources are Microsoft's repositories on GitHub, by file: host is
Azure/azure-functions-host; queues is Microsoft.Azure.WebJobs.Extensions.Storage.Queues in azure-sdk-for-net; worker is
Azure/azure-functions-python-worker; library is the azure-functions package.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HOST = "tests/sandbox/host"
START = f"{HOST}/test_start.py"

FACTS: dict[str, tuple[str, str]] = {
    "a body without Content-Length does not reach the function": (
        "host: GrpcMessageConversionExtensions.cs, ToRpcHttp; issue 7930",
        f"{HOST}/test_http.py::test_a_chunked_body_does_not_reach_the_function",
    ),
    "a text message's properties overwrite its trigger metadata, whatever their case": (
        "host: Utility.cs, ApplyBindingData",
        f"{HOST}/test_metadata.py::test_a_text_message_overwrites_its_own_id_whatever_the_case",
    ),
    "a message with a time that is none fails before its function runs": (
        "library: meta.py, _parse_datetime_metadata",
        f"{HOST}/test_metadata.py::test_a_text_message_whose_value_is_no_time_never_reaches_its_function",
    ),
    "with dataType binary nothing is overwritten": (
        "host: Utility.cs, ApplyBindingData: only a string is read",
        f"{HOST}/test_metadata.py::test_a_message_taken_as_bytes_overwrites_nothing",
    ),
    "one body at a time is read for each function and instance": (
        "host: GrpcWorkerChannel.cs, an ActionBlock for each function's invocations",
        f"{HOST}/test_http.py::test_one_body_at_a_time_is_read_for_a_function",
    ),
    "a body over 100 MB is a failure of the invocation, and 500": (
        "learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger, Limits; host: ToRpcHttp",
        f"{HOST}/test_http.py::test_a_body_over_100_mb_fails_the_invocation",
    ),
    "a caller that goes away in mid-body fails the invocation": (
        "host: GrpcMessageConversionExtensions.cs, PopulateBody",
        f"{HOST}/test_http.py::test_a_caller_that_goes_away_in_mid_body_fails_the_invocation",
    ),
    "functions run on uvloop": (
        "worker: proxy_worker/start_worker.py",
        f"{START}::test_functions_run_on_uvloop_unless_told_otherwise",
    ),
    "a placeholder becomes the app's by a request: other directory, own environment, the app last on sys.path": (
        "worker: proxy_worker/dispatcher.py and utils/dependency.py; azure_functions_runtime/handle_event.py",
        f"{START}::test_an_app_is_imported_in_another_directory_with_its_own_settings_and_is_the_last_on_the_path",
    ),
    "a package's module wins over one of the app's of the same name": (
        "worker: proxy_worker/utils/dependency.py",
        f"{START}::test_a_module_of_a_package_is_imported_in_place_of_the_apps_own",
    ),
    "a message that has failed maxDequeueCount times is moved to the poison queue": (
        "queues: QueueProcessor.cs",
        f"{HOST}/test_queues.py::test_a_message_that_fails_is_tried_again_and_then_is_poison",
    ),
    "a poison queue has none of its own: what fails there stays hidden, in the end without a word": (
        "queues: QueueListener.cs",
        f"{HOST}/test_queues.py::test_what_fails_in_a_poison_queue_stays_there_invisible_until_its_lease_ends",
    ),
    "a message's lease is renewed at half time": (
        "queues: QueueListener.cs",
        f"{HOST}/test_queues.py::test_a_message_is_delivered_once_though_it_takes_longer_than_the_lease",
    ),
    "wrong method: 404": (
        "host: WebScriptHostHttpRoutesManager.cs",
        f"{HOST}/test_http.py::test_no_route_or_another_method_is_404_without_a_body",
    ),
    "header names in lower case, repeated ones and query parameters joined": (
        "host: GrpcMessageConversionExtensions.cs, ToRpcHttp",
        f"{HOST}/test_http.py::test_a_function_sees_the_whole_request",
    ),
    "routes are tried in the order of the functions' names": (
        "host: WebScriptHostHttpRoutesManager.cs; here it is said at start",
        f"{HOST}/test_lifetime.py::test_a_route_that_azure_would_hide_is_warned_of",
    ),
    "a function key by header comes before one by query": (
        "learn.microsoft.com/azure/azure-functions/function-keys-how-to",
        f"{HOST}/test_http.py::test_keys_open_what_their_level_says",
    ),
    "routes under admin and runtime are the host's": (
        "host: ScriptHost.cs, ValidateHttpFunction",
        f"{HOST}/test_functions.py::test_what_cannot_be_served_is_refused_by_function_and_name",
    ),
}


@pytest.mark.parametrize("fact", FACTS)
def test_every_fact_has_its_source_and_its_test(fact: str) -> None:
    source, test = FACTS[fact]
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    assert source
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
