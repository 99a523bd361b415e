"""A route decides which events of a source become mail, from which mailbox and to whom; route_file.py reads it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from shared.mail.graph_types import Category
from shared.settings.address_patterns import Patterns
from shared.webhooks.sources.source import Source

Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Addresses = Annotated[tuple[str, ...], Meta(max_length=500)]


class RouteUnusable(Exception):  # noqa: N818 - the operator's to mend
    """A setting that this route needs is missing or does not let it send. The text names the setting, no address."""


class RouteRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a route can say about all its events, and about some types again. None: the less specific rules apply."""

    skip: bool | None = None
    when: Text | None = None
    subject: Text | None = None
    template: Text | None = None
    recipients: Addresses | None = None
    cc: Addresses | None = None
    bcc: Addresses | None = None
    recipients_from: Text | None = None
    reply_to: Addresses | None = None
    importance: Literal["low", "normal", "high"] | None = None
    categories: tuple[Category, ...] | None = None
    save_to_sent_items: bool | None = None
    threading: bool | None = None
    auto_response_suppress: bool | None = None
    split_recipients: bool | None = None


@dataclass(frozen=True)
class Route:
    """A route that can be used.

    window: seconds for which the same key gives no second mail, where the route says so. rate_per_minute: mails; None:
    no limit of its own. probe: GET and HEAD are answered 200, and still deliver nothing.
    """

    name: str
    folder: Path
    source: Source
    rules: RouteRules
    events: Mapping[str, RouteRules] = field(default_factory=dict)
    sender: str | None = None
    allow: Patterns | None = None
    on_unknown: Literal["resend", "review"] | None = None
    window: float | None = None
    keep_days: int | None = None
    rate_per_minute: int | None = None
    probe: bool = False
    time_zone: ZoneInfo | None = None
    results: bool = False

    def rules_for(self, kind: str) -> RouteRules:
        """The rules for one type of event: the route's own, overridden by those of each pattern, the closest last.

        template is that of a pattern only: it precedes a template named after the event, which precedes the route's.
        """
        found = msgspec.structs.replace(self.rules, template=None)
        for pattern, rules in self._patterns:
            if fnmatchcase(kind, pattern):
                given = {name: value for name in rules.__struct_fields__ if (value := getattr(rules, name)) is not None}
                found = msgspec.structs.replace(found, **given)
        return found

    def every_rules(self) -> Iterator[tuple[tuple[str, ...], RouteRules]]:
        """All rules with their place in the file."""
        yield (), self.rules
        yield from ((("events", kind), rules) for kind, rules in self.events.items())

    @cached_property
    def _patterns(self) -> list[tuple[str, RouteRules]]:
        return sorted(self.events.items(), key=lambda item: len(re.sub(r"[*?]|\[.*?\]", "", item[0])))
