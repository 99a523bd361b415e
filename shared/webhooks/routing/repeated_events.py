"""Gives a repeated event the mail id of the first one, so that there is no second mail.

For how long depends on the event's key (SourceEvent.known_by; docs/decisions/0013-copies.md):

    an id of the sender, or the route's own key     as long as the row of its mail, or `repeat_window_minutes`
    content that a source documents as one event    the window of the request, of the route or of the source
    the same bytes                                  as long as their sender retries
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
