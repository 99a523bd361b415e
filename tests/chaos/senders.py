"""The programs that send: over HTTP and into the queue, repeating as good programs do, and knowing what they know.

With a key a program repeats until it is told that the mail is taken. Without one it repeats only what surely was not
taken: no connection, or a 503 that says so. Whatever else happens it cannot know, and gives the mail up.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
import httpx
from azure.core.exceptions import AzureError
from azure.storage.queue.aio import QueueClient

from shared.letters.letter import identity
from tests.chaos.parts import Host
from tests.chaos.plan import Mail

__all__ = ["OUTBOX", "Known", "Senders"]

OUTBOX = "mail-outbox"
AT_ONCE = 24  # programs that wait for an answer
PAUSE = (0.1, 1.0)  # seconds before a repetition
LONGEST_WAIT = 3.0  # seconds, whatever Retry-After says: programs are impatient
HTTP_TIMEOUT = 12.0


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
                if await (self._by_queue(mail) if mail.way.startswith("queue") else self._by_http(mail, http)):
                    return
                await asyncio.sleep(self._chance.uniform(*PAUSE))

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
        except httpx.HTTPError as error:
            self.answers[f"http {type(error).__name__}"] += 1
            if mail.key or isinstance(error, httpx.ConnectError):
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


def _surely_not_taken(answer: httpx.Response) -> bool:
    """README: 503 means that nothing was stored and nothing sent, unless it says UnknownOutcome."""
    return answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and (
        answer.json()["error"]["code"] != "UnknownOutcome"
    )
