"""What is asked of the small world of world.py, and where it is troubled."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "HARMLESS",
    "LOST",
    "OF_THE_WORLD",
    "Asked",
    "GraphDoes",
    "Kind",
    "Plan",
    "Point",
    "Says",
    "Start",
    "Trouble",
]

type Start = Literal["direct", "accept", "queue", "hook"]  # hook: a webhook, whose mail is sent at once
type Policy = Literal["verify", "verify-review", "resend", "review"]
type GraphDoes = Literal[
    "accept", "accept slowly", "throttle", "not connected", "reject", "no permission", "lose", "lose accepted", "hang"
]
type Asked = Literal["answers", "429", "503", "time-out", "401", "403"]
type Says = Literal["go", "suppressed", "captured", "refused"]
type Time = Literal["now", "soon", "late"]
type Kind = Literal[
    # of the operation at hand: without effect; with, but no answer; with, later; answered only when repeated
    "fail", "lose", "late", "repeat",
    # of the one who is at it: its process dies; stands still before it, or after it; lets others go first
    "crash", "stall", "slow", "yield",
    # of the world
    "redeliver", "jump", "request", "cancel", "retry", "replay", "force", "maintenance",
]  # fmt: skip
OF_THE_WORLD: Final[frozenset[Kind]] = frozenset(
    {"redeliver", "jump", "request", "cancel", "retry", "replay", "force", "maintenance"}
)
LOST: Final[frozenset[Kind]] = frozenset({"fail", "lose", "late"})
# What makes nobody wait, and leaves no doubt about what has happened.
HARMLESS: Final[frozenset[Kind]] = frozenset(
    {"repeat", "yield", "redeliver", "request", "cancel", "retry", "replay", "force", "maintenance"}
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens so many points after the trouble before it. size: 0 to 3, what it means depends on the kind."""

    after: int
    kind: Kind
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked of the world, and what goes wrong in it."""

    start: Start = "direct"
    policy: Policy = "verify"
    large: bool = False  # the mail does not fit into a message
    mime: bool = False  # the mail comes as MIME
    parts: bool = False  # nor the mail into one request to Graph: it goes by way of a draft
    wait: float = 0.0  # seconds until it may be sent, where it is asked for without waiting
    retries: int = 1  # of a client that got no 2xx
    patience: float = 1.0  # seconds before that
    skews: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of one process after another
    graph: tuple[GraphDoes, ...] = ()  # one request after another; all further ones are accepted
    times: tuple[Time, ...] = ()  # when one mail after another may go; all further ones may go now
    flights: tuple[bool, ...] = ()  # whether one request after another may be in flight; afterwards it may
    spent: tuple[bool, ...] = ()  # whether the mailbox has mailed its recipients of the day; afterwards it has not
    void: tuple[bool, ...] = ()  # whether a reservation that a message carries has become void
    uploads: tuple[bool, ...] = ()  # whether the mailbox has uploaded too much lately
    policy_says: tuple[Says, ...] = ()  # of one attempt after another; all further ones may go
    verifications: tuple[Asked, ...] = ()  # what the mailbox says to one look after another; afterwards it answers
    silence: float = 0.0  # seconds, from the first look, in which it answers none
    silent: Asked = "503"  # and what it says instead
    token_age: float = 0.0  # seconds since the token that it refuses was fetched
    copy: float = 0.0  # seconds until the copy is in Sent Items
    draft: bool = False  # and whether it can be seen as a draft before
    gap: float = 0.0  # for how long it is then neither, at the end of that time
    troubles: tuple[Trouble, ...] = ()


class Point:
    """Awaited: gives the world its turn. The answer is the trouble that the operation is in."""

    def __init__(self, name: str, until: float = 0.0, *, answered: bool = False) -> None:
        self.name, self.until, self.answered = name, until, answered

    def __await__(self) -> Generator["Point", Trouble | None, Trouble | None]:
        return (yield self)
