"""What was sent through a sandbox, and the search for it where it must not be: in logs, and in answers.

Words are taken from every request that the tests make, so none has to be thought of: addresses, the names beside them,
subjects, bodies, files, tokens, secrets and keys. What is shorter than SHORTEST is left out, unless it is an address:
it would be found in words that say something else.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

SHORTEST = 10  # characters
LONGEST = 60  # of a text that are looked for: a log line may have cut it
ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}+@[\w-]+(?:\.[\w-]+)+", re.ASCII)
ID = re.compile(r"[\da-f]{32}|[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}|[\d :.t+z-]+")  # and times may be logged
TIME = re.compile(r"^[\d-]+ [\d:,]+ ", re.MULTILINE)
SECRET_HEADERS = ("authorization", "x-functions-key", "x-api-key", "x-gitlab-token", "idempotency-key")
SECRET_QUERY = ("code", "access_token", "secret", "sig")
OF_MAILS = re.compile(r"/api/(?:operator/)?(?:messages|attention|summary)\b")
OWN_MAILBOX = re.compile(r'"(?:sender|mailbox)": "[^"]*"')
TABLES = {"mailledger", "mailattention", "mailsummary"}
SENDERS = {"mailbox", "mailboxes", "scope", "sender"}  # columns and metadata
TEXTS = {"subject": "a subject", "content": "a body", "contentBytes": "a file", "value": "a value"}


class Leaked(AssertionError):  # noqa: N818 - the verdict of a test
    """Something stands where it must not. The text says what kind of thing, and the place."""


@dataclass
class Secrecy:
    """What must not be found, in each way of writing it, and what it is."""

    words: dict[str, str] = field(default_factory=dict)

    def heard(self, request: httpx.Request) -> None:
        """Remember what a request carries."""
        for name in SECRET_HEADERS:
            self.add(request.headers.get(name, "").rpartition(" ")[2][-LONGEST:], "a token or secret")
        for name, value in parse_qsl(request.url.query.decode()):
            if name in SECRET_QUERY:
                self.add(value, "a secret in a query")
        self.carried(request.content)
        self.addresses(request.url.path)

    def carried(self, content: bytes) -> None:
        """Remember what a body or a message says, plain or in base64."""
        text = content.decode(errors="replace")
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError):
            try:
                text = base64.b64decode(content, validate=True).decode()
                tree = json.loads(text)
            except (ValueError, RecursionError, binascii.Error):
                tree = None
        self.addresses(text)
        for name, value in _texts(tree):
            # In a mail the property says what it is; in an event a sentence is what a person would read.
            if name in TEXTS or " " in value.strip():
                self.add(value[:LONGEST], TEXTS.get(name, "a sentence of an event"))

    def addresses(self, text: str) -> None:
        for address in ADDRESS.findall(text) if "@" in text else ():
            self._remember(address.lower(), "an address")

    def add(self, word: str, kind: str) -> None:
        word = word.strip().lower()
        if len(word) >= SHORTEST and not ID.fullmatch(word):
            self._remember(word, kind)

    def _remember(self, word: str, kind: str) -> None:
        if word not in self.words:  # as it was sent, and as JSON or a URL writes it
            forms = (word, json.dumps(word)[1:-1].lower(), quote(word).lower(), quote(word, safe="").lower())
            self.words |= dict.fromkeys(forms, kind)

    def look(self, text: str, place: str) -> None:
        """Raise Leaked where one of the words stands in a text."""
        text = text.lower()
        found = [(text.find(word), kind) for word, kind in list(self.words.items()) if word in text]
        if found:
            raise Leaked(
                "\n".join(f"{kind} in {place}: …{text[max(0, at - 200) : at + 200]}…" for at, kind in found[:10])
            )

    def look_into_log(self, log: str) -> None:
        """As `look`. Lines that differ by their time alone are looked at once."""
        self.look("\n".join(dict.fromkeys(TIME.sub("", log).splitlines())), "the log")

    def look_into_storage(self, connection: str) -> None:
        """As `look`: rows, the index, results, and the metadata of what was set aside. Senders may stand there."""
        with TableServiceClient.from_connection_string(connection) as tables:
            for name in TABLES & {table.name for table in tables.list_tables()}:
                for entity in tables.get_table_client(name).list_entities():
                    shown = {column: value for column, value in entity.items() if column not in SENDERS}
                    self.look(repr(shown), f"the table {name}")
        with QueueServiceClient.from_connection_string(connection) as queues, suppress(ResourceNotFoundError):
            for message in queues.get_queue_client("mail-results").peek_messages(32):
                self.look(message.content, "mail-results")
        with BlobServiceClient.from_connection_string(connection) as blobs, suppress(ResourceNotFoundError):
            for blob in blobs.get_container_client("mail-dead").list_blobs(include=["metadata"]):
                said = {name: value for name, value in blob.metadata.items() if name not in SENDERS}
                self.look(repr(said), "the metadata of mail-dead")

    def answered(self, response: httpx.Response) -> None:
        """Look through an answer of Mailroom's.

        Graph's own refusals are handed on as Graph wrote them, and the list of those who are not mailed is what its
        operator asks for. What became of a mail names the mailbox that sends it, to those whose mail it is.
        """
        path = response.request.url.path
        if path.endswith("/openapi.json"):  # the same for everyone, and held against the committed one
            return
        listed = response.is_success and "/suppressions" in path
        if listed or response.headers.get("mailroom-state") == "failed":
            return
        text = OWN_MAILBOX.sub("", response.text) if OF_MAILS.search(path) else response.text
        self.look(text, f"the answer {response.status_code} to {response.request.method}")


def _texts(tree: Any) -> Iterator[tuple[str, str]]:
    """Every text with the name of its property."""
    todo = [("", tree)]
    while todo:
        name, value = todo.pop()
        if isinstance(value, Mapping):
            todo.extend(value.items())
        elif isinstance(value, list):
            todo.extend((name, item) for item in value)
        elif isinstance(value, str):
            yield name, value


def listening(secrecy: Secrecy, host: str) -> dict[str, list[Any]]:
    """Hooks for an httpx.Client: what goes to Mailroom is remembered, and what comes from there looked through."""
    port = urlsplit(host).port

    def request(request: httpx.Request) -> None:
        if request.url.port == port:
            request.read()
            secrecy.heard(request)

    def response(response: httpx.Response) -> None:
        if response.request.url.port == port:
            response.read()
            secrecy.answered(response)

    return {"request": [request], "response": [response]}
