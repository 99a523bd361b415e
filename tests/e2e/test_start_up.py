"""Start-up never fails in Azure; where a person is looking, it stops with the same words."""

import subprocess
import sys
from pathlib import Path

import httpx

from sandbox.packaged import alone
from shared.functions.http_answers import settings_refused
from shared.settings.config import read
from shared.settings.environ import Problem
from tests.e2e.running import APP, ROOT, Sandbox, command, environment
from tests.e2e.wrong import BROKEN, WRONG

FUNCTIONS = {
    "send_mail", "send_mail_qualified", "send_my_mail", "send_my_mail_qualified", "events", "health", "health_ready",
    "openapi", "message", "message_replay", "message_retry", "messages", "message_replays", "attention", "summary",
    "suppression", "suppressions", "operator_message", "operator_message_replay", "operator_message_retry",
    "operator_messages", "operator_message_replays", "operator_attention", "operator_summary", "operator_suppression",
    "operator_suppressions", "mail_events", "mail_events_poison", "mail_outbox", "mail_outbox_poison", "mail_work",
    "mail_work_poison", "maintenance",
}  # fmt: skip


def test_with_a_wrong_setting_every_function_is_there_and_answers_503_that_names_it(broken: Sandbox) -> None:
    """And only liveness answers as ever."""
    assert {function["name"] for function in broken.facts["functions"]} == FUNCTIONS
    with httpx.Client(base_url=broken.facts["host"], trust_env=False) as http:
        answer = http.post("/api/v1.0/users/a@contoso.com/sendMail")
        assert answer.status_code == 503
        problems = tuple(Problem(name, "", "") for name in BROKEN)
        assert sorted(answer.json()["error"]["message"]) == sorted(settings_refused(problems))
        assert all(name in answer.json()["error"]["message"] for name in BROKEN)
        ready = http.get("/api/health/ready", headers={"x-functions-key": broken.facts["keys"]["default"]})
        assert ready.status_code == 503
        found = {problem["setting"] for problem in ready.json()["checks"]["settings"]["problems"]}
        assert found == set(BROKEN)
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


def test_ready_asks_every_dependency_for_the_operator_only(sandbox: Sandbox) -> None:
    ready = f"{sandbox.facts['host']}/api/health/ready"
    assert sandbox.http.get(ready).status_code == 401
    answer = sandbox.http.get(ready, headers={"x-functions-key": sandbox.facts["keys"]["default"]})
    assert answer.status_code == 200
    assert {name: check["status"] for name, check in answer.json()["checks"].items()} == dict.fromkeys(
        ("settings", "storage", "tables", "identity", "callers", "routes"), "pass"
    )
    routes = answer.json()["checks"]["routes"]
    assert {"github", "generic", "alertmanager"} <= set(routes["on"])
    assert routes["off"] == {"uptime-kuma": "no secret"}
    assert sandbox.http.get(f"{sandbox.facts['host']}/api/health").json() == {"status": "pass"}


# Loaded on first use, so that a cold start does not pay for it.
HEAVY = (
    "msgraph", "kiota_abstractions", "azure.identity", "azure.storage", "azure.data", "azure.core", "aiohttp", "httpx",
    "jwt", "cryptography", "idna",
    # Mailroom's own: reading and checking mails, tokens, delivery.
    "shared.mail.outgoing", "shared.mail.model", "shared.auth.entra", "shared.delivery.ledger",
    "shared.policy.pre_send", "shared.functions.message_search", "shared.functions.messages",
    "shared.functions.queue_functions", "shared.functions.send_mail", "shared.functions.suppressions",
)  # fmt: skip


def test_indexing_loads_nothing_of_graph_identity_or_storage(tmp_path: Path) -> None:
    look = f"import function_app; print([name for name in {HEAVY} if name in sys.modules])"
    program = (sys.executable, "-c", f"import sys; sys.path.insert(0, {str(APP)!r}); {look}")
    line, given = alone(APP, program, environment(AzureWebJobsStorage="UseDevelopmentStorage=true"), tmp_path)
    result = subprocess.run(line, env=given, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
