"""One run: mails come in while everything goes wrong; then everything is mended, and what became of them is counted."""

import asyncio
import json
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.queue.aio import QueueServiceClient

from sandbox.watchdog import Watchdog
from shared.delivery.ledger import TABLE, Ledger
from shared.mail.marker import MARKER_PROPERTY
from shared.settings.queue_names import RESULTS
from shared.storage.tables import Tables
from tests.chaos.parts import Cloud, Host, Storage, maintain
from tests.chaos.plan import Options, faults, mails
from tests.chaos.senders import OUTBOX, Senders
from tests.chaos.verdict import Offence, counts, offences, untold

QUEUES = (OUTBOX, "mail-work", f"{OUTBOX}-poison", "mail-work-poison")
BETWEEN_KILLS = (3.0, 8.0)  # seconds
DOWN = (0.0, 2.0)  # seconds that a killed host is away, and the time its start takes
STORAGE_DOWN = (2.0, 9.0)  # seconds: storage clients give up after some
BETWEEN_CUTS = (2.0, 6.0)  # seconds
PATIENCE = 60.0  # seconds that senders have when all is mended
SETTLED_WITHIN = 150.0  # seconds from then on until everything has ended: an unknown outcome takes about ten
SUBJECT = re.compile(r"chaos \d+ \d+")
QUIET = 5.0  # seconds without a request to Graph: nothing is on its way, and every claim has run out


@dataclass(slots=True)
class Report:
    """What was done, and what became of it. left: what was not done in time.

    known: of each offence, its row, its requests to Graph, its events.
    """

    options: Options
    by_way: dict[str, dict[str, int]] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    stats: dict[str, Any] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    queues: dict[str, int] = field(default_factory=dict)
    left: str | None = "everything"
    seconds: dict[str, float] = field(default_factory=dict)
    offences: list[Offence] = field(default_factory=list)
    known: dict[str, list[str]] = field(default_factory=dict)
    results: Counter[str] = field(default_factory=Counter)
    untold: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return self.left is None and not self.offences and not self.untold

    def __str__(self) -> str:
        options = self.options
        lines = [
            f"{options.mails} mails, {options.hosts} hosts, seed {options.seed}, {options.faults:g} % faults, "
            + ("with copies in Sent Items" if options.copies else "without copies")
            + ("" if options.at_once else ", webhooks queued"),
            f"  {'way':<14} {'mails':>6} {'acknowl.':>9} {'once':>6} {'twice':>6} {'more':>5} {'never':>6}",
        ]
        for way, counted in self.by_way.items():
            numbers = [
                counted.get(name, 0) for name in ("mails", "acknowledged", "once", "twice", "more often", "never")
            ]
            lines.append("  {:<14} {:>6} {:>9} {:>6} {:>6} {:>5} {:>6}".format(way, *numbers))
        for name, numbers_of in (
            ("done", self.done),
            ("Graph's faults", self.stats.get("faults", {})),
            ("Graph's answers", self.stats.get("by_status", {})),
            ("senders were told", self.answers),
            ("states", self.states),
            ("left in queues", self.queues),
            ("results", self.results),
        ):
            lines.append(f"  {name}: {_listed(numbers_of)}")
        lines.append("  seconds: " + ", ".join(f"{name} {taken:.0f}" for name, taken in self.seconds.items()))
        if self.left:
            lines.append(f"  NOT SETTLED within {SETTLED_WITHIN:.0f} s: {self.left}")
        for offence in self.offences:
            mail = offence.mail
            lines.append(f"  BROKEN: {mail.subject!r} ({mail.way}, {mail.times} x, {mail.mailbox}): {offence.what}")
            lines += [f"    {line}" for name in sorted(offence.ids) for line in self.known.get(name, [name])]
        lines += [f"  UNTOLD: {line}" for line in self.untold]
        lines.append("every promise was kept" if self.kept else f"{len(self.offences)} MAILS WITH BROKEN PROMISES")
        return "\n".join(lines)


async def chaos(options: Options) -> Report:
    """Run it. Bounded in time; leaves nothing running."""
    folder = Path(tempfile.mkdtemp(prefix="mailroom-chaos-"))
    with Watchdog(folder) as watchdog:
        async with AsyncExitStack() as stack:
            storage = Storage(folder, watchdog)
            stack.push_async_callback(storage.stop)
            await storage.start()
            cloud = await Cloud.start(folder, watchdog, options.seed)
            stack.push_async_callback(cloud.stop)
            more = {"MAIL_RESULTS": "true"} | ({} if options.at_once else {"MAIL_SEND_AT_ONCE": "false"})
            names = [f"host-{number + 1}" for number in range(options.hosts)]
            hosts = [Host.of(name, storage, cloud, folder, watchdog, more) for name in names]
            for host in hosts:
                stack.push_async_callback(host.kill)
            http = await stack.enter_async_context(httpx.AsyncClient(timeout=30, trust_env=False))
            connection = storage.addresses.connection_string
            queues = await stack.enter_async_context(QueueServiceClient.from_connection_string(connection))
            tables = Tables.of_connection_string(connection, await stack.enter_async_context(AioHttpTransport()))
            return await _Run(options, storage, cloud, hosts, http, queues, tables, folder).run()


@dataclass(slots=True)
class _Run:
    options: Options
    storage: Storage
    cloud: Cloud
    hosts: Sequence[Host]
    http: httpx.AsyncClient
    queues: QueueServiceClient
    tables: Tables
    folder: Path
    maintenance: str = ""

    async def run(self) -> Report:
        report = Report(self.options)
        begin = time.monotonic()

        def phase(name: str) -> None:
            nonlocal begin
            begin, taken = time.monotonic(), time.monotonic() - begin
            report.seconds[name] = taken

        for host in self.hosts:
            await host.start()
        await self._set_faults()
        phase("to start")

        all_mails = mails(self.options)
        loop = asyncio.get_running_loop()
        producer = QueueServiceClient.from_connection_string(
            self.storage.addresses.connection_string, retry_total=0, connection_timeout=3, read_timeout=5
        )
        async with producer:
            queue = producer.get_queue_client(OUTBOX)
            senders = Senders(self.hosts, await self._token(), queue, self.options.seed)
            deadline = loop.time() + self.options.seconds + PATIENCE
            sending = asyncio.create_task(senders.send_all(all_mails, deadline))
            report.done = await self._disturb()
            report.stats = await self._control("GET", "stats")
            await self._control("DELETE", "faults")
            phase("of chaos")
            await sending
            phase("for the senders")
        report.answers = dict(sorted(senders.answers.items()))

        report.left = await self._settle()
        phase("to settle")
        # What no message comes by for is maintenance's: a claim whose end could not be written, for one.
        self.maintenance = await maintain(self.hosts[0].environment)
        phase("of maintenance")
        report.queues = {name: await self._count(name) for name in QUEUES}
        rows = await self._rows()
        report.states = dict(Counter(row["state"] for row in rows.values()))
        accepted = await self._accepted()
        report.by_way = counts(all_mails, senders.known, accepted)
        told = await self._results()
        report.results = Counter(kind for kinds in told.values() for kind in kinds)
        report.untold = untold(rows, told)
        report.offences = offences(all_mails, senders.known, accepted, rows)
        for offence in report.offences:
            for name in offence.ids:
                report.known[name] = await self._all_of(name)
        return report

    async def _set_faults(self) -> None:
        await self._control("POST", "settings", {"journal": True})
        await self._control("POST", "faults", faults(self.options.faults))

    async def _disturb(self) -> Counter[str]:
        """Kill hosts, stop storage, break connections, each at its times; all runs again when this returns."""
        done: Counter[str] = Counter()
        chance = random.Random(self.options.seed)
        end = asyncio.get_running_loop().time() + self.options.seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, len(self.hosts) // 2)):
                group.create_task(self._kill_hosts(end, random.Random(chance.random()), done))
            group.create_task(self._stop_storage(end, random.Random(chance.random()), done))
            group.create_task(self._cut_storage(end, random.Random(chance.random()), done))
        return done

    async def _kill_hosts(self, end: float, chance: random.Random, done: Counter[str]) -> None:
        while await _before(end, chance.uniform(*BETWEEN_KILLS)):
            running = [host for host in self.hosts if host.facts]
            if not running:
                continue
            host = chance.choice(running)
            await host.kill()
            done["hosts killed"] += 1
            await asyncio.sleep(chance.uniform(*DOWN))
            await host.start()

    async def _stop_storage(self, end: float, chance: random.Random, done: Counter[str]) -> None:
        every = max(15.0, self.options.seconds / 4)
        while await _before(end, chance.uniform(0.4, 0.8) * every):
            await self.storage.stop()
            done["storage stopped"] += 1
            await asyncio.sleep(chance.uniform(*STORAGE_DOWN))
            await self.storage.start()
            if not await _before(end, every * 0.4):
                return

    async def _cut_storage(self, end: float, chance: random.Random, done: Counter[str]) -> None:
        while await _before(end, chance.uniform(*BETWEEN_CUTS)):
            self.storage.cut()
            done["storage connections cut"] += 1

    async def _settle(self) -> str | None:
        """Wait until nothing more comes to Graph and nothing is left to do. What there still is when time is over."""
        deadline = time.monotonic() + SETTLED_WITHIN
        requests, since, left = -1, time.monotonic(), None
        while time.monotonic() < deadline:
            await asyncio.sleep(0.5)
            seen = (await self._control("GET", "stats"))["requests"]
            if seen != requests:
                requests, since = seen, time.monotonic()
            left = await self._left() if time.monotonic() - since >= QUIET else "requests to Graph"
            if left is None:
                return None
        return left

    async def _left(self) -> str | None:
        """What is still to be done, or wrong; None: the queues are empty, and all hosts live."""
        counted = {name: count for name in QUEUES if (count := await self._count(name))}
        if counted:
            return f"messages: {_listed(counted)}"
        # A host that has ended by itself would have left its work to the others.
        for host in self.hosts:
            try:
                (await self.http.get(f"{host.url}/api/health")).raise_for_status()
            except httpx.HTTPError as error:
                return f"{host.name} does not live: {error!r}"
        return None

    async def _count(self, queue: str) -> int:
        """All messages of a queue, hidden ones too."""
        try:
            properties = await self.queues.get_queue_client(queue).get_queue_properties()
        except AzureError:
            return 0
        return properties.approximate_message_count or 0

    async def _rows(self) -> dict[str, dict[str, Any]]:
        """Every mail that the operator is shown, by id."""
        host = next(host for host in self.hosts if host.facts)
        assert host.facts
        rows: dict[str, dict[str, Any]] = {}
        after = ""
        while True:
            answer = await self.http.get(
                f"{host.url}/api/operator/messages",
                params={"top": "1000", "after": after} if after else {"top": "1000"},
                headers={"x-functions-key": host.facts.keys["default"]},
            )
            page = answer.raise_for_status().json()
            rows |= {row["id"]: row for row in page["messages"]}
            if not (after := page.get("next", "")):
                return rows

    async def _accepted(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for mail in await self._control("GET", "accepted"):
            properties = {marked["id"]: marked["value"] for marked in mail["message"]["singleValueExtendedProperties"]}
            said = (
                f"{mail['message']['subject']} {mail['message']['body']['content']}"  # a webhook's mail has more in it
            )
            [name] = set(SUBJECT.findall(said))
            found.setdefault(name, []).append(properties[MARKER_PROPERTY])
        return found

    async def _results(self) -> dict[str, list[str]]:
        """The types of all results of each mail, by its id."""
        found: dict[str, list[str]] = {}
        queue = self.queues.get_queue_client(RESULTS)
        async for message in queue.receive_messages(messages_per_page=32, visibility_timeout=300):
            result = json.loads(message.content)
            found.setdefault(result["subject"], []).append(result["type"])
        return found

    async def _all_of(self, mail: str) -> list[str]:
        """The ledger's row of a mail, its requests to Graph, and every line that the hosts have logged of it."""
        row = await Ledger(self.tables.table(TABLE)).read(mail)
        said = [f"row {row}" if row else f"{mail} has no row"]
        said += [f"Graph accepted at {each['at']}" for each in await self._control("GET", f"accepted?marker={mail}")]
        for each in await self._control("GET", f"requests?id={mail}"):
            fault = f", fault {each['fault']}" if each["fault"] else ""
            said.append(
                f"request {each['at']} {each['method']} {each['path']}: {each['status']} in {each['seconds']} s{fault}"
            )
        for log in sorted(self.folder.glob("host-*.log")):
            said += [f"{log.stem}: {line}" for line in log.read_text(errors="replace").splitlines() if mail in line]
        return said + [f"maintenance: {line}" for line in self.maintenance.splitlines() if mail in line]

    async def _token(self) -> str:
        lifetime = int(self.options.seconds + 2 * PATIENCE)
        return str((await self._control("POST", "mint", {"lifetime": lifetime}))["token"])

    async def _control(self, method: str, path: str, body: object = None) -> Any:
        answer = await self.http.request(method, f"{self.cloud.facts.control}/{path}", json=body)
        return answer.raise_for_status().json()


async def _before(end: float, seconds: float) -> bool:
    """Sleep so many seconds; False at once when `end` would come first."""
    if asyncio.get_running_loop().time() + seconds >= end:
        return False
    await asyncio.sleep(seconds)
    return True


def _listed(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in numbers.items()) or "nothing"
