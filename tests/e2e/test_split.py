"""An event with more recipients than Graph takes in one mail, over HTTP and once more."""

import json
import uuid
from typing import TYPE_CHECKING

from tests.azurite import azurite
from tests.e2e.running import Sandbox, eventually, running

if TYPE_CHECKING:
    from pathlib import Path

ROUTE = """\
source = "key"
subject = "{{ at('title') }}"
recipients_from = "data.to"
allow = ["*@fabrikam.example"]
bcc = ["archive@contoso.example"]
"""


def test_everyone_gets_one_mail_however_often_the_event_comes(sandbox: Sandbox, tmp_path: "Path") -> None:
    for name, more in (("many", "split_recipients = true\n"), ("few", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "route.toml").write_text(ROUTE + more)
    everyone = [f"someone{number}@fabrikam.example" for number in range(1100)]
    event = json.dumps({"title": f"news {uuid.uuid4()}", "to": everyone})
    with azurite() as (storage, _):
        settings = sandbox.facts["environment"] | {
            "AzureWebJobsStorage": storage,
            "MAIL_RATE_PER_MINUTE": "100000",
            "MAIL_ROUTES_DIR": str(tmp_path),
            "MAIL_SECRET_MANY": "secret",
            "MAIL_SECRET_FEW": "secret",
        }
        with running("--only", "host", **settings) as host:
            own = {name: host.facts[name] for name in ("host", "storage", "keys")}
            other = Sandbox(sandbox.facts | own, host.http)
            headers = {"Authorization": "Bearer secret", "Idempotency-Key": "news"}
            for _ in range(2):
                answer = host.http.post(f"{other.facts['host']}/api/events/many", content=event, headers=headers)
                assert answer.status_code == 202
                eventually(lambda: len(other.accepted()) == 3 and not other.count("mail-work"))
            mails = [mail["message"] for mail in other.accepted()]
            assert len(mails) == 3
            mailed = [
                one["emailAddress"]["address"]
                for mail in mails
                for name in ("toRecipients", "ccRecipients", "bccRecipients")
                for one in mail.get(name) or []
            ]
            assert sorted(mailed) == sorted([*everyone, "archive@contoso.example"])
            refused = host.http.post(f"{other.facts['host']}/api/events/few", content=event, headers=headers)
            assert refused.status_code == 202, "its sender has done its part"
            [(metadata, _)] = other.dead().values()
            assert metadata["reason"] == "ErrorInvalidRecipients"
            assert len(other.accepted()) == 3
