"""The name of an event's mail. What has the name of one that came before is its copy and gives no second mail.

What the key of an event is made of (Event.known_by) says for how long it counts: an id of the sender, or the route's
own key, for as long as the row of its mail is kept, or the route's `repeat_window_minutes`; what a source documents as
one event, within the window of the request, the route or the source; the same bytes, while their sender tries again.
"""

import math
from datetime import datetime

from shared.mail.outgoing import Repeat, identity
from shared.webhooks.routing.route import Route
from shared.webhooks.sources.source import Event

__all__ = ["name_of", "scope_of"]


def scope_of(route: Route) -> str:
    """What names are unique within."""
    return f"route:{route.name}"


def name_of(route: Route, event: Event, now: datetime) -> tuple[str, Repeat | None]:
    """The id of the event's mail, and the mail that it may be a repetition of."""
    scope, window = scope_of(route), _window(route, event)
    if window is None:
        return identity(scope, event.key), None
    # One name for each stretch of the window's length, and each knows the one before it: so two that are less than a
    # window apart are found to be the same, without a row that many would write to.
    stretch = math.floor(now.timestamp() / window)
    before = identity(scope, f"{event.key} {window:g} {stretch - 1}")
    return identity(scope, f"{event.key} {window:g} {stretch}"), Repeat(of=before, within=window)


def _window(route: Route, event: Event) -> float | None:
    """Seconds in which the same key is the same event; None: for ever."""
    match event.known_by:
        case "same-bytes":
            return event.window
        case "identity":
            return event.window or route.window or route.source.repeat_window
        case "sender-id" | "route-key":
            return route.window
        case _:  # the queue's name of a message, however late it is delivered again; and what is a copy of none
            return None
