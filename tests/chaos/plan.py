"""What a run is to do: the command line, and the mails with everything that chance decides, out of one seed."""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sandbox.cloud.directory import SENDER

Way = Literal["http", "http-keyless", "async", "async-keyless", "queue", "queue-keyless", "webhook", "webhook-once"]
WAYS: dict[Way, int] = {
    "http": 27,
    "http-keyless": 7,
    "async": 10,
    "async-keyless": 6,
    "queue": 14,
    "queue-keyless": 11,
    "webhook": 20,
    "webhook-once": 5,
}
"""How a mail comes in, and how often, of a hundred. async: over HTTP with `Prefer: respond-async`. webhook: an event of
Standard Webhooks, whose sender tries again until it is answered 2xx; once: of GitHub, which never tries again."""

MAILBOXES = tuple(f"shared{number}@sandbox.example" for number in range(1, 5))
LARGE = "x" * 70_000
"""More than a queue message holds."""

# What goes wrong in Graph: of a hundred faults, by what is asked of it. A fault is as likely on each.
FAULTS: dict[str, dict[str, tuple[int, dict[str, object]]]] = {
    "send": {
        "throttle": (18, {"retry_after": "0.35"}),
        "unavailable": (11, {}),
        "gateway_timeout": (14, {}),
        "gateway_timeout_lost": (11, {}),
        "lost": (14, {}),
        "dropped": (11, {}),
        "slow": (11, {"seconds": 2.6}),
        "ok200": (5, {}),
        "redirect": (5, {}),
    },
    # Whether a mail has gone: a verification that gets no answer.
    "read": {
        "throttle": (30, {"retry_after": "0.35"}),
        "unavailable": (20, {}),
        "gateway_timeout_lost": (15, {}),
        "slow": (15, {"seconds": 2.6}),
        "dropped": (10, {}),
        "unauthorized": (10, {}),
    },
}


def faults(percent: float) -> list[dict[str, object]]:
    """The emulator's faults, of which one hits so many of a hundred requests. It draws them one after the other."""
    made: list[dict[str, object]] = []
    for on, shares in FAULTS.items():
        left = 1.0
        for kind, (share, more) in shares.items():
            chance = percent / 100 * share / 100
            made.append({"kind": kind, "on": on, "probability": chance / left, **more})
            left -= chance
    return made


@dataclass(frozen=True, slots=True)
class Options:
    """seconds: for which the mails come in and everything goes wrong. faults: of a hundred requests to Graph.

    at_once: webhooks are sent at once, as the app does by default.
    """

    mails: int = 300
    hosts: int = 2
    seconds: float = 60
    seed: int = 1
    copies: bool = True
    faults: float = 20
    at_once: bool = True


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
        return None if self.way.endswith(("keyless", "once")) else self.subject

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
            mailbox=SENDER if way.startswith("webhook") else chance.choice(MAILBOXES),
            at=at,
            times=1 if way.endswith(("keyless", "once")) else chance.choice((1, 1, 1, 2, 3)),
            large=way.startswith(("http", "async")) and chance.random() < 0.08,
            copy=options.copies or way.startswith("webhook"),
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
        "--faults",
        type=float,
        default=usual.faults,
        metavar="PERCENT",
        help=f"of the requests to Graph, sending and verifying, are hit by one ({usual.faults:g})",
    )
    parser.add_argument("--queue-webhooks", action="store_true", help="MAIL_SEND_AT_ONCE=false: webhooks only queue")
    given = parser.parse_args(arguments)
    copies, at_once = not given.no_copy, not given.queue_webhooks
    return Options(given.mails, given.hosts, given.seconds, given.seed, copies, given.faults, at_once)
