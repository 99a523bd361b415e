"""Start-up never fails in Azure; where a person is looking, it stops with the same words."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.packaged import alone
from shared.functions.answers import settings_refused
from shared.settings.config import Problem, read
from tests.e2e.running import APP, ROOT, Sandbox, command, environment

GUID = "11111111-2222-3333-4444-555555555555"
WRONG = {
    "AzureWebJobsStorage": "@Microsoft.KeyVault(SecretUri=https://contoso.vault.azure.net/secrets/storage)",
    "AZURE_CLIENT_ID": "mine",
    "GRAPH_BASE_URL": "https://graph.example.com/v1.0",
    "MAIL_API_TENANT": "contoso.com",
    "MAIL_API_CLIENT_ID": "contoso",
    "MAIL_API_AUTHORITY": "login.microsoftonline.com",
    "MAIL_CALLERS": "{",
    "MAIL_SENDER_POOLS": "team",
    "MAIL_ALLOWED_SENDERS": "a@*",
    "MAIL_ALLOWED_RECIPIENTS": "a@con*so.com",
    "MAIL_ON_UNKNOWN": "retry",
    "MAIL_SEND_TIMEOUT": "soon",
    "MAIL_LEASE_MARGIN": "0",
    "MAIL_VERIFY_SENT": "maybe",
    "MAIL_VERIFY_DELAYS": "60 15",
    "MAIL_RATE_PER_MINUTE": "many",
    "MAIL_CONCURRENCY": "0",
    "MAIL_RETENTION_DAYS": "7",
    "MAIL_MAX_ATTEMPTS": "1.5",
    "MAIL_MAX_AGE_HOURS": "-1",
    "MAIL_SENDER": "*@contoso.com",
    "MAIL_TO": "ops",
    "MAIL_VAULT_URL": "http://contoso.vault.azure.net",
    "MAIL_RECIPIENTS_PER_DAY": "499",
    "MAIL_EXTENDED_PROPERTIES": "Colour",
    "MAIL_MODE": "test",
    "MAIL_REDIRECT_TO": "catcher",
    "MAIL_LARGE_ATTACHMENTS": "yes",
    "MAIL_ATTACHMENT_CONTAINERS": "mail-dead",
    "MAIL_MAX_REQUEST_MB": "0",
}
FUNCTIONS = {
    "events",
    "health",
    "health_ready",
    "mail_events",
    "mail_events_poison",
    "mail_outbox",
    "mail_outbox_poison",
    "mail_work",
    "mail_work_poison",
    "message",
    "message_replay",
    "message_retry",
    "messages",
    "operator_message",
    "operator_message_replay",
    "operator_message_retry",
    "operator_messages",
    "openapi",
    "operator_suppression",
    "operator_suppressions",
    "send_mail",
    "send_mail_qualified",
    "send_my_mail",
    "send_my_mail_qualified",
    "suppression",
    "suppressions",
    "maintenance",
}


@contextmanager
def host(settings: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The functions host alone, as Azure starts it: nobody has looked at the settings before."""
    with tempfile.TemporaryDirectory() as folder:
        program = (sys.executable, "-m", "sandbox.host", "--app", str(APP), "--port", "0")
        line, given = alone(APP, program, environment(**settings), Path(folder))
        process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=given, cwd=ROOT, text=True
        )
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()


REGISTRATION = {"MAIL_API_TENANT": GUID, "MAIL_API_CLIENT_ID": GUID}


@pytest.mark.parametrize("name", WRONG)
def test_each_wrong_setting_is_one_problem_under_its_own_name(name: str) -> None:
    given = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", **REGISTRATION, name: WRONG[name]}
    assert [problem.setting for problem in read(given).problems] == [name]


# Of where storage is, of the API and of the rules: what is asked of a process. The table above has them all.
@pytest.mark.parametrize("name", ["AzureWebJobsStorage", "MAIL_API_TENANT", "MAIL_MODE"])
def test_with_a_wrong_setting_every_function_is_there_and_answers_503_that_names_it(
    started: Sandbox, name: str
) -> None:
    storage = started.facts["storage"]
    settings = {"AzureWebJobsStorage": storage, **REGISTRATION, name: WRONG[name]}
    settings["AzureWebJobsAzureWebJobsStorage"] = storage  # where the host itself looks first
    with host(settings) as facts, httpx.Client(base_url=facts["url"], trust_env=False) as http:
        assert {function["name"] for function in facts["functions"]} == FUNCTIONS
        answer = http.post("/api/v1.0/users/a@contoso.com/sendMail")
        assert answer.status_code == 503
        assert name in answer.json()["error"]["message"]
        assert answer.json()["error"]["message"] == settings_refused((Problem(name, "", ""),))
        ready = http.get("/api/health/ready", headers={"x-functions-key": facts["keys"]["default"]})
        assert ready.status_code == 503
        [problem] = ready.json()["checks"]["settings"]["problems"]
        assert problem["setting"] == name
        assert http.get("/api/health").status_code == 200


def test_the_sandbox_stops_and_says_the_same_of_every_one(started: Sandbox) -> None:
    given = {
        "GRAPH_BASE_URL": started.facts["graph"],
        "IDENTITY_ENDPOINT": started.facts["identity"],
        "IDENTITY_HEADER": started.facts["identity_header"],
        **WRONG,
    }
    result = subprocess.run(
        command("--only", "host"), env=environment(**given), cwd=ROOT, capture_output=True, text=True, check=False
    )
    problems = read(given).problems
    assert {problem.setting for problem in problems} == set(WRONG)
    assert result.returncode == 2
    for problem in problems:
        assert str(problem) in result.stderr
    assert result.stdout == ""


def test_ready_asks_every_dependency(sandbox: Sandbox) -> None:
    key = {"x-functions-key": sandbox.facts["keys"]["default"]}
    answer = sandbox.http.get(f"{sandbox.facts['host']}/api/health/ready", headers=key)
    assert answer.status_code == 200
    checks = answer.json()["checks"]
    assert {name: check["status"] for name, check in checks.items()} == dict.fromkeys(
        ("settings", "storage", "tables", "identity", "callers", "routes"), "pass"
    )


def test_ready_is_for_the_operator_only(sandbox: Sandbox) -> None:
    assert sandbox.http.get(f"{sandbox.facts['host']}/api/health/ready").status_code == 401
    assert sandbox.http.get(f"{sandbox.facts['host']}/api/health").json() == {"status": "pass"}


# Loaded on first use, so that a cold start does not pay for it.
HEAVY = (
    "msgraph",
    "kiota_abstractions",
    "azure.identity",
    "azure.storage",
    "azure.data",
    "azure.core",
    "aiohttp",
    "httpx",
    "jwt",
    "cryptography",
    "idna",
    # Mailroom's own: reading and checking mails, tokens, delivery.
    "shared.mail.outgoing",
    "shared.mail.model",
    "shared.auth.entra",
    "shared.delivery.record",
    "shared.policy.pre_send",
    "shared.functions.messages",
    "shared.functions.queues",
    "shared.functions.send_mail",
    "shared.functions.suppressions",
)


def test_indexing_loads_nothing_of_graph_identity_or_storage(tmp_path: Path) -> None:
    look = f"import function_app; print([name for name in {HEAVY} if name in sys.modules])"
    program = (sys.executable, "-c", f"import sys; sys.path.insert(0, {str(APP)!r}); {look}")
    line, given = alone(APP, program, environment(AzureWebJobsStorage="UseDevelopmentStorage=true"), tmp_path)
    result = subprocess.run(line, env=given, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
