"""Whether the promises were kept: what the senders know, what Graph has accepted, what the ledger says. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.chaos.plan import Mail
from tests.chaos.senders import Known

OPEN = ("scheduled", "accepted", "sending", "unknown")
Row = Mapping[str, Any]  # of a mail, as the operator's endpoint shows it


@dataclass(frozen=True, slots=True)
class Offence:
    """A mail with which a promise was broken. ids: under which Mailroom or Graph knows it."""

    mail: Mail
    what: str
    ids: frozenset[str]


def offences(
    mails: Sequence[Mail],
    known: Mapping[str, Known],
    accepted: Mapping[str, Sequence[str]],
    rows: Mapping[str, Row],
) -> list[Offence]:
    """What went wrong. accepted: by subject, the id in each mail that Graph has accepted. rows: by id."""
    found = []
    for mail in mails:
        its = known.get(mail.subject) or Known()
        markers = accepted.get(mail.subject, ())
        ids = frozenset(its.ids.union(markers))
        if what := _wrong(mail, its, markers, [rows[name] for name in ids if name in rows]):
            found.append(Offence(mail, what, ids))
    return found


def untold(rows: Mapping[str, Row], told: Mapping[str, Collection[str]]) -> list[str]:
    """The mails whose end was not told. told: the types of the results of each mail, by its id."""
    return [
        f"{name} is {row['state']}, told: {', '.join(sorted(told.get(name, ()))) or 'nothing'}"
        for name, row in rows.items()
        if row["state"] not in OPEN and f"mail.{row['state']}" not in told.get(name, ())
    ]


def counts(
    mails: Sequence[Mail], known: Mapping[str, Known], accepted: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, int]]:
    """By way in, and of all: how many there were, were acknowledged, and were accepted so often."""
    table: dict[str, Counter[str]] = {}
    for mail in mails:
        times = len(accepted.get(mail.subject, ()))
        often = {0: "never", 1: "once", 2: "twice"}.get(times, "more often")
        its = known.get(mail.subject) or Known()
        for way in (mail.way, "all"):
            table.setdefault(way, Counter())["mails"] += 1
            table[way]["acknowledged"] += its.acknowledged
            table[way][often] += 1
    return {way: dict(counted) for way, counted in sorted(table.items())}


def _wrong(mail: Mail, known: Known, markers: Sequence[str], rows: Sequence[Row]) -> str | None:
    given_up = known.given_up or "no answer in time"
    said = "acknowledged" if known.acknowledged else f"never acknowledged ({given_up})"
    if known.refused:
        return f"refused: {known.refused}"
    if len(set(markers)) > 1:
        return f"{said}, accepted under {len(set(markers))} ids"
    if still := [row["state"] for row in rows if row["state"] in OPEN]:
        return f"{said}, but still {still[0]}"
    if mail.copy:
        if len(markers) > 1:
            return f"{said}, accepted {len(markers)} times although its copy could be looked for"
        if markers and not any(row["state"] == "sent" for row in rows):
            return f"{said}, accepted once, but {', '.join(row['state'] for row in rows) or 'no row'}"
        if known.acknowledged and not markers:
            return f"{said}, lost: {', '.join(row['state'] for row in rows) or 'no row'}"
        return None
    if len(markers) > 2 or (len(markers) == 2 and not any(row["mayHaveGoneTwice"] for row in rows)):
        return f"{said}, accepted {len(markers)} times without its state saying so"
    if known.acknowledged and not markers and not any(row["state"] == "review" for row in rows):
        return f"{said}, lost: {', '.join(row['state'] for row in rows) or 'no row'}"
    return None
