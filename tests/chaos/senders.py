"""The programs that send: over HTTP and into the queue, repeating as good programs do, and knowing what they know.

With a key a program repeats until it is told that the mail is taken. Without one it repeats only what surely was not
taken: no connection, or a 503 that says so. Whatever else happens it cannot know, and gives the mail up.

A sender of Standard Webhooks signs every try anew, with the same `webhook-id`, and tries again whatever it hears but
2xx; GitHub tries once. Their time-outs are theirs too.
"""

import asyncio
import hashlib
import hmac
import json
import random
import re
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
import httpx
from azure.core.exceptions import AzureError
from azure.storage.queue.aio import QueueClient
from standardwebhooks.webhooks import Webhook

from shared.mail.outgoing import identity
from tests.chaos.parts import SECRET, Host
from tests.chaos.plan import Mail

# AttributeError: anyio asks a socket for its peer that was closed as soon as it was open. Nothing was sent by then.
FAILED = (httpx.HTTPError, AttributeError)
OUTBOX = "mail-outbox"
MAIL = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
AT_ONCE = 24  # programs that wait for an answer
PAUSE = (0.1, 1.0)  # seconds before a repetition
LONGEST_WAIT = 3.0  # seconds, whatever Retry-After says: programs are impatient
HTTP_TIMEOUT = 12.0
HOOK_TIMEOUT = {"webhook": 15.0, "webhook-once": 10.0}  # seconds, of Svix and of GitHub


@dataclass(slots=True)
class Known:
    """What the sender of one mail knows. ids: under which Mailroom has it, as far as it was told."""

    acknowledged: bool = False
    given_up: str | None = None
    refused: str | None = None  # an answer that no good program should get
    ids: set[str] = field(default_factory=set)


class Senders:
    """answers: counts of what they were told, by status or by class of error."""

    def __init__(self, hosts: Sequence[Host], token: str, queue: QueueClient, seed: int) -> None:
        self.known: dict[str, Known] = {}
        self.answers: Counter[str] = Counter()
        self._hosts = hosts
        self._token = token
        self._queue = queue
        self._chance = random.Random(seed)
        self._room = asyncio.Semaphore(AT_ONCE)

    async def send_all(self, mails: Sequence[Mail], deadline: float) -> None:
        """Send each at its time, and go on until it is taken, given up or refused, or the loop's time is `deadline`."""
        begin = asyncio.get_running_loop().time()
        limits = httpx.Limits(max_keepalive_connections=8)
        async with httpx.AsyncClient(timeout=HTTP_TIMEOUT, trust_env=False, limits=limits) as http:
            try:
                async with asyncio.timeout_at(deadline), asyncio.TaskGroup() as group:
                    for mail in mails:
                        self.known[mail.subject] = Known()
                        await asyncio.sleep(begin + mail.at - asyncio.get_running_loop().time())
                        for _ in range(mail.times):
                            group.create_task(self._send(mail, http))
            except TimeoutError:
                return

    async def _send(self, mail: Mail, http: httpx.AsyncClient) -> None:
        async with self._room:
            while True:
                if await self._once(mail, http):
                    return
                await asyncio.sleep(self._chance.uniform(*PAUSE))

    async def _once(self, mail: Mail, http: httpx.AsyncClient) -> bool:
        """Try once. True: it need not be tried again."""
        if mail.way.startswith("queue"):
            return await self._by_queue(mail)
        if mail.way.startswith("webhook"):
            return await self._by_webhook(mail, http)
        return await self._by_http(mail, http)

    async def _by_webhook(self, mail: Mail, http: httpx.AsyncClient) -> bool:
        """Send the event once. True: it need not be tried again."""
        known, again = self.known[mail.subject], mail.way == "webhook"
        path, headers, body = standard_webhook(mail) if again else github_webhook(mail)
        url = f"{self._chance.choice(self._hosts).url}/api/events/{path}"
        try:
            answer = await http.post(url, content=body, headers=headers, timeout=HOOK_TIMEOUT[mail.way])
        except FAILED as error:
            self.answers[f"webhook {type(error).__name__}"] += 1
            if not again:
                known.given_up = type(error).__name__
            return not again
        self.answers[f"webhook {answer.status_code}"] += 1
        if answer.is_success:
            known.acknowledged = True
            known.ids.update(MAIL.findall(answer.headers.get("location", "") + answer.text))
            return True
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:  # these events are well made and signed
            known.refused = f"{answer.status_code} {answer.text[:200]}"
            return True
        if not again:
            known.given_up = f"{answer.status_code} {answer.text[:200]}"
        return not again

    async def _by_queue(self, mail: Mail) -> bool:
        """Put the mail once. True: it need not be tried again."""
        known = self.known[mail.subject]
        key = {"key": mail.key} if mail.key else {}
        try:
            put = await self._queue.send_message(
                json.dumps({"sender": mail.mailbox, **mail.request, **key}), time_to_live=-1
            )
        except AzureError as error:
            self.answers[f"queue {type(error).__name__}"] += 1
            if mail.key or isinstance(error.__cause__, aiohttp.ClientConnectorError):
                return False
            known.given_up = type(error).__name__
            return True
        self.answers["queue 201"] += 1
        known.acknowledged = True
        scope = f"queue:{OUTBOX}:{mail.mailbox}"
        known.ids.add(identity(scope, mail.key) if mail.key else identity(f"queue:{OUTBOX}", put.id))
        return True

    async def _by_http(self, mail: Mail, http: httpx.AsyncClient) -> bool:
        """Ask once. True: it need not be tried again."""
        known = self.known[mail.subject]
        headers = {"Authorization": f"Bearer {self._token}"}
        if mail.key:
            headers["Idempotency-Key"] = mail.key
        if mail.way.startswith("async"):
            headers["Prefer"] = "respond-async"
        host = self._chance.choice(self._hosts)
        try:
            url = f"{host.url}/api/v1.0/users/{mail.mailbox}/sendMail"
            answer = await http.post(url, json=mail.request, headers=headers)
        except FAILED as error:
            self.answers[f"http {type(error).__name__}"] += 1
            if mail.key or isinstance(error, httpx.ConnectError | AttributeError):
                return False
            known.given_up = type(error).__name__
            return True
        self.answers[f"http {answer.status_code}"] += 1
        if answer.status_code == httpx.codes.ACCEPTED:
            known.acknowledged = True
            known.ids.add(answer.headers["location"].rpartition("/")[2])
            return True
        if answer.status_code == httpx.codes.CONFLICT or answer.is_server_error:
            if mail.key or _surely_not_taken(answer):
                await asyncio.sleep(min(float(answer.headers.get("retry-after", "0")), LONGEST_WAIT))
                return False
            known.given_up = f"{answer.status_code} {answer.text[:200]}"
            return True
        known.refused = f"{answer.status_code} {answer.text[:200]}"
        return True


def standard_webhook(mail: Mail) -> tuple[str, dict[str, str], bytes]:
    """Route, headers and body, signed now by the specification's own library."""
    data = {"title": mail.subject, "way": mail.way}
    body = json.dumps({"type": "mail.asked", "timestamp": "2026-11-22T20:26:10Z", "data": data})
    now = datetime.now(UTC)
    name = f"msg_{mail.subject.replace(' ', '_')}"
    signature = Webhook(SECRET).sign(name, now, body)
    markers = {"webhook-id": name, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    return "standard-webhooks", {"Content-Type": "application/json", **markers}, body.encode()


def github_webhook(mail: Mail) -> tuple[str, dict[str, str], bytes]:
    """An issue that was opened. Route, headers and body."""
    repository = {"full_name": "contoso/shop", "html_url": "https://github.com/contoso/shop"}
    issue = {
        "number": 7,
        "title": mail.subject,
        "html_url": f"{repository['html_url']}/issues/7",
        "user": {"login": "a"},
    }
    event = {"action": "opened", "issue": issue, "repository": repository, "sender": {"login": "a"}}
    body = json.dumps(event).encode()
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    delivery = str(uuid.uuid5(uuid.NAMESPACE_URL, mail.subject))
    headers = {"X-GitHub-Event": "issues", "X-GitHub-Delivery": delivery, "X-Hub-Signature-256": f"sha256={digest}"}
    return "github", {"Content-Type": "application/json", **headers}, body


def _surely_not_taken(answer: httpx.Response) -> bool:
    """README: 503 means that nothing was stored and nothing sent, unless it says UnknownOutcome."""
    return answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and (
        answer.json()["error"]["code"] != "UnknownOutcome"
    )
