"""A running sandbox, and what the tests do with it over HTTP and storage, as its users do."""

import json
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from sandbox.packaged import alone
from tests.e2e.secrecy import Secrecy, listening

ROOT = Path(__file__).parents[2]
APP = Path(os.environ.get("MAILROOM_APP", ROOT)).resolve()
"""What is tested: this checkout, or an unpacked package, which then runs on the packages that it brings along alone."""

FREE_PORTS = ["--port", "0", "--graph-port", "0", "--storage-port", "0", "--mail-port", "0", "--smtp-port", "0"]
# What this machine's own environment may hold and a test must not inherit.
FOREIGN = ("MAIL_", "AzureWebJobs", "AZURE_", "GRAPH_", "IDENTITY_", "WEBSITE_")

# Of the log, what a test that failed is explained by.
NOTED = re.compile(r" (?:WARNING|ERROR|CRITICAL) |^Traceback|^  File|^\w+Error")

NOBODY = "nobody@sandbox.example"
"""A mailbox that Mailroom lets pass in these tests, and that Graph does not know."""
RATE = 3
"""Mails a minute of the other caller. The first has no limit."""

UNPACED = {
    "MAIL_RATE_PER_MINUTE": "100000",
    "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.8",
}
QUICK = {**UNPACED, "MAIL_SEND_TIMEOUT": "2", "MAIL_LEASE_MARGIN": "1", "MAIL_VERIFY_DELAYS": "0.5 1 2"}
"""Settings with which what takes minutes in Azure takes seconds here. A host's first mail takes longer to send."""

EXAMPLE: dict[str, Any] = {
    "message": {
        "subject": "Meet for lunch?",
        "body": {"contentType": "Text", "content": "The new cafeteria is open."},
        "toRecipients": [{"emailAddress": {"address": "fannyd@contoso.onmicrosoft.com"}}],
        "ccRecipients": [{"emailAddress": {"address": "danas@contoso.onmicrosoft.com"}}],
    },
    "saveToSentItems": "false",
}
"""The example of Microsoft's page: https://learn.microsoft.com/graph/api/user-sendmail."""


def titled(subject: str, **message: Any) -> dict[str, Any]:
    """The example under another subject: tests that wait for a mail must know it from those of tests before."""
    return {"message": {**EXAMPLE["message"], "subject": subject, **message}}


def environment(**settings: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)} | settings


def eventually[T](question: Callable[[], T], seconds: float = 20.0) -> T:
    """The first answer that is true, asked again and again; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(0.1)
    return answer


@dataclass(frozen=True)
class Sandbox:
    """A sandbox that runs, by the line of JSON it printed."""

    facts: dict[str, Any]
    http: httpx.Client
    secrecy: Secrecy = field(default_factory=Secrecy)
    log: Path | None = None
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def api(self) -> str:
        return f"{self.facts['host']}/api/v1.0"

    @property
    def sender(self) -> str:
        return str(self.facts["sender"])

    def token(self, **form: str) -> str:
        """A caller's token; by default app-only and of the caller that may send. It is good for an hour."""
        if (asked := repr(form)) not in self.tokens:
            audience = f"api://{self.facts['api_client_id']}/.default"
            body = {"client_id": self.facts["caller_client_id"], "scope": audience, **form}
            answer = self.http.post(self.facts["token"], data=body)
            assert answer.status_code == 200, answer.text
            self.tokens[asked] = str(answer.json()["access_token"])
        return self.tokens[asked]

    def delegated(self, user: str | None = None) -> str:
        return self.token(grant_type="password", username=user or self.sender)

    def mint(self, **request: Any) -> str:
        """A token with any claims, signed with the issuer's own key."""
        answer = self.http.post(f"{self.facts['control']}/mint", json=request)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])

    def send(
        self, body: Any = EXAMPLE, *, token: str | None = None, path: str | None = None, **headers: str
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        authorization = {"Authorization": f"Bearer {token or self.token()}"} if token != "" else {}
        return self.http.post(
            f"{self.api}/{path or f'users/{self.sender}/sendMail'}",
            content=content,
            headers={"Content-Type": "application/json", **authorization, **names},
        )

    def accepted(self) -> list[dict[str, Any]]:
        """Every mail that Graph has accepted."""
        answer: list[dict[str, Any]] = self.http.get(f"{self.facts['control']}/accepted").json()
        return answer

    def requests(self) -> int:
        """How many sendMail requests Graph has seen, accepted or not."""
        return int(self.http.get(f"{self.facts['control']}/stats").json()["requests"])

    def subjects(self) -> list[str]:
        """Of those that came as JSON: one that came as MIME has no message."""
        return [mail["message"].get("subject", "") for mail in self.accepted() if mail["message"]]

    def arrives(self, subject: str) -> None:
        """Wait until a mail with this subject has been accepted."""
        eventually(lambda: subject in self.subjects())

    def message(self, answer: httpx.Response, method: str = "GET", **headers: str) -> httpx.Response:
        """What `Location` of an answer says, asked by the mail's producer."""
        authorization = {"Authorization": f"Bearer {self.token()}"}
        return self.http.request(
            method, self.facts["host"] + answer.headers["location"], headers=authorization | headers
        )

    def operator(self, method: str, path: str) -> httpx.Response:
        """`/api/operator/messages…` with the function key."""
        key = {"x-functions-key": self.facts["keys"]["default"]}
        return self.http.request(method, f"{self.facts['host']}/api/operator/messages{path}", headers=key)

    def fault(self, **fault: Any) -> None:
        answer = self.http.post(f"{self.facts['control']}/faults", json=fault)
        assert answer.status_code < 300, answer.text

    def reset(self) -> None:
        """Empty the mailboxes and take faults away, after the mails that earlier tests left on their way.

        What does not come to an end in a few seconds waits for a later time: its message is deleted, since its mail
        would come in the middle of another test.
        """
        deadline = time.monotonic() + 3
        while self.count("mail-work") and time.monotonic() < deadline:
            time.sleep(0.1)
        self.clear("mail-work")
        assert self.http.post(f"{self.facts['control']}/reset").status_code < 300

    def sent_items(self, **query: str) -> list[dict[str, Any]]:
        """The mailbox's Sent Items, as Graph lists them."""
        token = self.token(scope="https://graph.microsoft.com/.default")
        answer = self.http.get(
            f"{self.facts['graph']}/users/{self.sender}/mailFolders/sentitems/messages",
            params={"$top": "1000", **query},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.status_code == 200, answer.text
        return list(answer.json()["value"])

    def put(self, queue: str, text: str, **options: Any) -> str:
        """Put a message into a queue, as a producer does. Returns its id."""
        self.secrecy.carried(text.encode())
        with QueueServiceClient.from_connection_string(self.facts["storage"]) as service:
            return str(service.get_queue_client(queue).send_message(text, **options).id)

    def waiting(self, queue: str) -> list[str]:
        """The messages that anyone could receive now."""
        with QueueServiceClient.from_connection_string(self.facts["storage"]) as service:
            return [message.content for message in service.get_queue_client(queue).peek_messages(32)]

    def clear(self, queue: str) -> None:
        with QueueServiceClient.from_connection_string(self.facts["storage"]) as service:
            service.get_queue_client(queue).clear_messages()

    def count(self, queue: str) -> int:
        """All messages of a queue, hidden ones too."""
        with QueueServiceClient.from_connection_string(self.facts["storage"]) as service:
            return service.get_queue_client(queue).get_queue_properties().approximate_message_count or 0

    @contextmanager
    def carried(self) -> Iterator[None]:
        """Wait in the end for what was put meanwhile; mails of other tests may be waiting for their time."""
        before = self.count("mail-work")
        yield
        eventually(lambda: not self.count("mail-events") and self.count("mail-work") <= before, 40)

    def queue(self, mail: dict[str, Any], queue: str = "mail-outbox", **properties: Any) -> str:
        """Put a mail into the queue, from the sandbox's sender or another one. Returns its message's id."""
        return self.put(queue, json.dumps({"sender": self.sender, **mail, **properties}))

    def ends(self, answer: httpx.Response, state: str = "sent", seconds: float = 60) -> dict[str, Any]:
        """Wait until a mail has reached its last state, which must be this one; what Mailroom says of it then."""

        def ended() -> dict[str, Any]:
            said: dict[str, Any] = self.message(answer).json()
            return said if said["state"] not in ("scheduled", "accepted", "sending", "unknown") else {}

        found = eventually(ended, seconds)
        assert found["state"] == state, found
        return found

    @contextmanager
    def dead(self, count: int = 1) -> Iterator[dict[str, "Dead"]]:
        """Wait in the end until so many messages were set aside meanwhile; the mapping then has them by their ids."""
        found: dict[str, Dead] = {}
        with BlobServiceClient.from_connection_string(self.facts["storage"]) as service:
            container = service.get_container_client("mail-dead")

            def names() -> set[str]:
                return set(container.list_blob_names()) if container.exists() else set()

            known = names()
            yield found
            eventually(lambda: len(names() - known) >= count, 40)
            for name in names() - known:
                blob = container.get_blob_client(name)
                metadata = blob.get_blob_properties().metadata
                found[name] = Dead(metadata["kind"], metadata["reason"], blob.download_blob().readall(), metadata)
        assert len(found) == count


@dataclass(frozen=True)
class Dead:
    """What was set aside for a person, a mail or a message of a queue, and why."""

    kind: str
    reason: str
    content: bytes
    metadata: dict[str, str]


def _trust(ca: str | None) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cafile=ca) if ca else False


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "sandbox", "--json", "--app", str(APP), *FREE_PORTS, *options]


@contextmanager
def running(*options: str, **settings: str) -> Iterator[Sandbox]:
    """Start a sandbox on free ports, and end it.

    Then its log, as verbose as Azure's, is searched for what was sent, and so is what its storage keeps for long and
    shows to many; and storage for what the roles of Mailroom's
    identity did not allow: an error that somebody has swallowed on the way is found there.
    """
    with TemporaryDirectory() as folder, ExitStack() as stack:
        log, operations = Path(folder) / "log", Path(folder) / "storage"
        process = subprocess.Popen(
            command("--verbose", "--verbose", *options),
            stdout=subprocess.PIPE,
            stderr=stack.enter_context(log.open("wb")),
            env=environment(**settings, SANDBOX_STORAGE_LOG=str(operations)),
            cwd=ROOT,
            text=True,
        )
        secrecy = Secrecy()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"the sandbox did not start: {log.read_text()}"
            facts = json.loads(line)
            hooks = listening(secrecy, facts["host"])
            with httpx.Client(timeout=60, verify=_trust(facts.get("ca")), trust_env=False, event_hooks=hooks) as http:
                yield Sandbox(facts, http, secrecy, log)
            if "--only" not in options and process.poll() is None:  # else storage is another one's
                secrecy.look_into_storage(facts["storage"])
        finally:
            process.terminate()
            process.wait(30)
            assert process.stdout is not None
            process.stdout.close()
            said = log.read_text(errors="replace")
            print("\n".join(line for line in said.splitlines() if NOTED.search(line)), file=sys.stderr)
        secrecy.look_into_log(said)
        noted = map(json.loads, operations.read_text().splitlines()) if operations.exists() else ()
        assert not [one for one in noted if not one["allowed"]], "storage refused it, as Azure would"


@contextmanager
def beside(first: Sandbox, *options: str, **settings: str) -> Iterator[Sandbox]:
    """Another host on the cloud of a sandbox, and on its storage unless AzureWebJobsStorage is another one."""
    with running("--only", "host", *options, **(first.facts["environment"] | settings)) as host:
        # What a lone host does not know, such as where tokens are, is the first one's.
        own = {name: fact for name, fact in host.facts.items() if fact}
        yield Sandbox(first.facts | own, host.http, host.secrecy, host.log)


@contextmanager
def bare_host(settings: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The functions host alone, as Azure starts it: nobody has looked at the settings before."""
    with TemporaryDirectory() as folder:
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
