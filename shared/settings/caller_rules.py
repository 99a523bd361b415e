"""The rules of MAIL_CALLERS for each application: senders, recipients, a rate, and the blobs that it may attach.

Blobs are given as a container, or as `container/folder` for every blob below a folder. Mailroom's own containers and
the platform's are never allowed, because they contain other people's mails, keys and code.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final, Self

import msgspec

from shared.mail.addresses import CONTAINER, split_blob
from shared.settings.address_patterns import GUID, Patterns
from shared.settings.environ import Wrong, json_object
from shared.settings.queue_names import OUTBOX

PRODUCERS: Final = OUTBOX  # in MAIL_CALLERS: whoever puts mails into that queue
# Of the host, and the names under which Azure, its portal and its tools keep the code of an app.
RESERVED: Final = re.compile(r"mail-payloads|mail-dead|azure-.*|app-package.*|deployment.*|function-releases")


@dataclass(frozen=True, slots=True)
class BlobRules:
    """places: container and the folder in it, with a slash at its end, or empty for the whole container."""

    places: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Raises ValueError for what names no container, or one that may never be attached from."""
        places = set[tuple[str, str]]()
        for text in texts:
            bare = text.rstrip("/")
            container, name = split_blob(bare) if "/" in bare else (bare, "")
            if not CONTAINER.fullmatch(container):
                raise ValueError(f"{text!r} names no container")
            if RESERVED.fullmatch(container):
                raise ValueError(f"the container {container} is Mailroom's own, or the platform's")
            places.add((container, f"{name}/" if name else ""))
        return cls(frozenset(places))

    def allow(self, container: str, name: str) -> bool:
        """Both decoded, as `split_blob` gives them."""
        if RESERVED.fullmatch(container):
            return False
        return any(container == allowed and name.startswith(folder) for allowed, folder in self.places)


NO_BLOBS: Final = BlobRules()


@dataclass(frozen=True, slots=True)
class CallerRule:
    """recipients, rate_per_minute: None: no limit of the caller's own."""

    senders: Patterns
    recipients: Patterns | None = None
    rate_per_minute: int | None = None
    attachments: BlobRules = NO_BLOBS
    results: bool = False  # what becomes of its mails is told in mail-results


class _Caller(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    senders: list[str]
    recipients: list[str] | None = None
    rate_per_minute: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    attachments: list[str] = []
    results: bool = False


def read_callers(text: str) -> Mapping[str, CallerRule]:
    """The rules by application id, in lower case. Raises Wrong with what is wrong of each rule."""
    callers: dict[str, CallerRule] = {}
    problems = []
    for application, raw in json_object(text, msgspec.json.Decoder(dict[str, msgspec.Raw]).decode).items():
        try:
            if application.lower() in callers:
                raise ValueError("a second rule; capitals make no difference")  # noqa: TRY301 - as the others
            callers[application.lower()] = _rule(application, msgspec.json.decode(raw, type=_Caller))
        except (ValueError, RecursionError) as error:
            problems.append(f"for {application}, {error}")
    if problems:
        raise Wrong(*problems)
    return MappingProxyType(callers)


def _rule(application: str, entry: _Caller) -> CallerRule:
    if not GUID.fullmatch(application) and application != PRODUCERS:
        raise ValueError(f"neither the GUID of an application nor {PRODUCERS}")
    if application == PRODUCERS and entry.attachments:
        raise ValueError("attachments, which MAIL_ATTACHMENT_CONTAINERS gives to that queue")
    recipients = None if entry.recipients is None else Patterns.of(entry.recipients)
    attachments = BlobRules.of(entry.attachments)
    return CallerRule(Patterns.of(entry.senders), recipients, entry.rate_per_minute, attachments, entry.results)
