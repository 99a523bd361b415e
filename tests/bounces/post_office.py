"""Mails that were sent, and the mailboxes that reports come back to: the emulator, the real SDK, rows in memory."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError

from sandbox.cloud.errors import Ids
from sandbox.cloud.recipients import recipients_of
from sandbox.cloud.state import Cloud, Submission
from shared.bounces.collector import BounceCollector
from shared.bounces.suppressor import Suppressor
from shared.delivery.results import bounces_of
from shared.delivery.row import Row
from shared.event_loop import Deadline
from shared.graph.client import GraphConnection
from shared.mail.addresses import address_hash
from shared.mail.marker import MARKER_PROPERTY
from shared.policy.suppression import SuppressionList, SuppressionTable
from shared.settings.config import Settings
from shared.storage.tables import ColumnValue, Entity, Table, Token
from tests.delivery.samples import Office
from tests.sandbox.cloud.emulator import BOX, mail, recipient


class MemoryTable(Table):
    """Entities by their keys, as conditional as storage."""

    def __init__(self) -> None:
        self.rows: dict[tuple[object, object], Entity] = {}
        self._etags = count(1)

    async def get(self, partition: str, row: str) -> Entity | None:
        return self.rows.get((partition, row))

    async def insert(self, entity: Mapping[str, ColumnValue]) -> str:
        if (entity["PartitionKey"], entity["RowKey"]) in self.rows:
            raise ResourceExistsError
        return self._put(entity)

    async def replace(self, entity: Mapping[str, ColumnValue], etag: str) -> str:
        if self.rows[entity["PartitionKey"], entity["RowKey"]]["odata.etag"] != etag:
            raise ResourceModifiedError
        return self._put(entity)

    async def page(self, *_: Any, **__: Any) -> tuple[list[Entity], Token | None]:
        return [*self.rows.values()], None

    def _put(self, entity: Mapping[str, ColumnValue]) -> str:
        etag = str(next(self._etags))
        self.rows[entity["PartitionKey"], entity["RowKey"]] = {**entity, "odata.etag": etag}
        return etag


@dataclass
class PostOffice:
    """now: what the collector believes. routes: addresses that stand in routes; None: they cannot be read."""

    cloud: Cloud
    connection: GraphConnection
    settings: Settings = field(default_factory=Settings)
    routes: frozenset[str] | None = frozenset()
    state: MemoryTable = field(default_factory=MemoryTable)
    suppressed: MemoryTable = field(default_factory=MemoryTable)
    mailboxes: list[str] = field(default_factory=lambda: [BOX])
    office: Office = field(default_factory=Office)
    late: timedelta = timedelta()

    def __post_init__(self) -> None:
        self.office.clock.now = lambda: datetime.now(UTC) + self.late  # type: ignore[method-assign]

    async def send(self, *local_parts: str, box: str = BOX, header: bool = True, **changes: Any) -> Row:
        """A mail to these at bounce.example, as Graph has taken it, and its row. header: what comes back has its id."""
        mail_id = uuid4().hex
        people = [f"{local}@bounce.example" for local in local_parts]
        message = mail(
            toRecipients=[recipient(address) for address in people],
            singleValueExtendedProperties=[{"id": MARKER_PROPERTY, "value": mail_id}],
            internetMessageHeaders=[{"name": "x-mailroom-id", "value": mail_id}] if header else [],
        )
        self.cloud.accept(Submission(box, message, save=True, via="sendMail"), Ids("r", "c"), {})
        assert recipients_of(message) == people
        row = Row(
            id=mail_id,
            state="sent",
            scope="route:builds",
            fingerprint="",
            mailbox=box,
            accepted_at=datetime.now(UTC),
            recipients="".join(map(address_hash, people)),
        )
        return await self.office.ledger.write(replace(row, **changes))

    async def collect(self, seconds: float = 60.0) -> Counter[str]:
        suppressions = SuppressionList(SuppressionTable(self.suppressed))
        suppressor = Suppressor(self.settings, suppressions, lambda: self.routes)

        async def mailboxes(_: datetime) -> Iterable[str]:
            return self.mailboxes

        return await BounceCollector(
            replace(self.office.engine, settings=self.settings),
            lambda: self.connection,
            self.state,
            mailboxes,
            suppressor if self.settings.suppress_bounced else None,
        ).run(Deadline(seconds))

    async def bounces(self, row: Row) -> list[tuple[str, str]]:
        """The hash and the code of each bounce on a mail's row."""
        return [(bounce.recipient, bounce.code) for bounce in bounces_of(await self.office.row(row.id))]


def bounced(local: str, code: str | None = None) -> tuple[str, str]:
    return address_hash(f"{local}@bounce.example"), code or local.partition("+")[0].partition("-")[0]
