"""What a run is to do: the command line, and the mails with everything that chance decides, out of one seed."""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["FAULTS", "MAILBOXES", "WAYS", "Mail", "Options", "Way", "mails", "parse"]

Way = Literal["http", "http-keyless", "async", "async-keyless", "queue", "queue-keyless"]
WAYS: dict[Way, int] = {
    "http": 35,
    "http-keyless": 8,
    "async": 14,
    "async-keyless": 8,
    "queue": 20,
    "queue-keyless": 15,
}
"""How a mail comes in, and how often, of a hundred. async: over HTTP with `Prefer: respond-async`."""

MAILBOXES = tuple(f"shared{number}@sandbox.example" for number in range(1, 5))
LARGE = "x" * 70_000
"""More than a queue message holds."""

# What goes wrong in Graph: chance in a hundred of each request, and how.
FAULTS: dict[str, tuple[float, dict[str, object]]] = {
    "throttle": (5, {"retry_after": "0.35"}),
    "unavailable": (3, {}),
    "gateway_timeout": (4, {}),
    "gateway_timeout_lost": (3, {}),
    "lost": (4, {}),
    "dropped": (3, {}),
    "slow": (3, {"seconds": 2.6}),
    "ok200": (1.5, {}),
    "redirect": (1.5, {}),
    "throttle@read": (3, {"retry_after": "0.35"}),
    "unavailable@read": (1, {}),
    "dropped@read": (1, {}),
}


@dataclass(frozen=True, slots=True)
class Options:
    """seconds: for which the mails come in and everything goes wrong. faults: times their usual chance."""

    mails: int = 300
    hosts: int = 2
    seconds: float = 60
    seed: int = 1
    copies: bool = True
    faults: float = 1


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail. at: seconds from the start. times: so often it is put, or asked for at the same time, with its key."""

    subject: str
    way: Way
    mailbox: str
    at: float
    times: int
    large: bool
    copy: bool

    @property
    def key(self) -> str | None:
        return None if self.way.endswith("keyless") else self.subject

    @property
    def request(self) -> dict[str, object]:
        """The body of sendMail."""
        return {
            "message": {
                "subject": self.subject,
                "body": {"contentType": "Text", "content": LARGE if self.large else "Chaos."},
                "toRecipients": [{"emailAddress": {"address": "fannyd@contoso.onmicrosoft.com"}}],
            },
            "saveToSentItems": self.copy,
        }


def mails(options: Options) -> list[Mail]:
    """The mails of a run, in the order of their time."""
    chance = random.Random(options.seed)
    ways = chance.choices(list(WAYS), list(WAYS.values()), k=options.mails)
    times = sorted(chance.uniform(0, options.seconds * 0.95) for _ in range(options.mails))
    return [
        Mail(
            subject=f"chaos {options.seed} {number}",
            way=way,
            mailbox=chance.choice(MAILBOXES),
            at=at,
            times=1 if way.endswith("keyless") else chance.choice((1, 1, 1, 2, 3)),
            large=not way.startswith("queue") and chance.random() < 0.08,
            copy=options.copies,
        )
        for number, (way, at) in enumerate(zip(ways, times, strict=True), 1)
    ]


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line (sys.argv when None)."""
    usual = Options()
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Sends mails through Mailroom while Graph fails, hosts are killed and storage goes away, and "
        "counts in Graph what became of them. Exit status 1: a promise was broken.",
    )
    parser.add_argument("--mails", type=int, default=usual.mails, metavar="N", help=f"so many mails ({usual.mails})")
    parser.add_argument("--hosts", type=int, default=usual.hosts, metavar="N", help=f"at once ({usual.hosts})")
    parser.add_argument(
        "--seconds", type=float, default=usual.seconds, help=f"for which everything goes wrong ({usual.seconds:g})"
    )
    parser.add_argument("--seed", type=int, default=usual.seed, metavar="N", help="another one, another run")
    parser.add_argument("--no-copy", action="store_true", help="saveToSentItems false: nothing can be looked up")
    parser.add_argument(
        "--faults", type=float, default=usual.faults, metavar="X", help="Graph's faults, times their usual chance (1)"
    )
    given = parser.parse_args(arguments)
    return Options(given.mails, given.hosts, given.seconds, given.seed, not given.no_copy, given.faults)
