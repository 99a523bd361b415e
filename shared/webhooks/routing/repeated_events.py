"""What happens to a repeated event: it gets the mail id of the first one, and so gives no second mail.

How long that holds depends on what the key of the event is made of (SourceEvent.known_by). An id of the sender, or the
route's own key: for as long as the row of its mail is kept, or for the route's `repeat_window_minutes`. Content that a
source documents as one event: within the window of the request, the route or the source. The same bytes: while their
sender retries. See docs/decisions/0013-copies.md.
"""

import math
from datetime import datetime

from shared.mail.outgoing import Repeat, identity
from shared.webhooks.routing.route import Route
from shared.webhooks.sources.source import SourceEvent


def scope_of(route: Route) -> str:
    """The scope in which the ids of a route's mails are unique."""
    return f"route:{route.name}"


def mail_id_of(route: Route, event: SourceEvent, now: datetime) -> tuple[str, Repeat | None]:
    """The id of the event's mail, and the mail that it may be a repetition of."""
    scope, window = scope_of(route), _window(route, event)
    if window is None:
        return identity(scope, event.key), None
    # One id for each period of the window's length, and each knows the one before it: so two events that are less than
    # a window apart are found to be the same, without a row that many would write to.
    period = math.floor(now.timestamp() / window)
    before = identity(scope, f"{event.key} {window:g} {period - 1}")
    return identity(scope, f"{event.key} {window:g} {period}"), Repeat(of=before, within=window)


def _window(route: Route, event: SourceEvent) -> float | None:
    """Seconds for which the key counts; None: for ever."""
    match event.known_by:
        case "same-bytes":
            return event.window
        case "identity":
            return event.window or route.window or route.source.repeat_window
        case "sender-id" | "route-key":
            return route.window
        case _:  # a message of a queue, however late it is delivered again; or an event that is never a copy
            return None
