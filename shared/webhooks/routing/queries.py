"""JMESPath over an event: the filters of routes, and recipients that stand in the event."""

from typing import Any

from shared.webhooks.sources.expressions import compiled
from shared.webhooks.sources.source import Event

__all__ = ["Query", "as_object"]


def as_object(event: Event) -> dict[str, Any]:
    """The event as a query and a person who writes one see it."""
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time.isoformat().replace("+00:00", "Z") if event.time else None,
        "thread": event.thread,
        "data": event.data,
        "extensions": dict(event.extensions),
    }


class Query:
    """A compiled expression, https://jmespath.org/specification.html. Raises ValueError where it is none.

    Whatever it meets in an event, looking at it raises nothing: what the library's functions raise of foreign values is
    more than its own errors (`avg` of numbers of hundreds of digits is an OverflowError).
    """

    def __init__(self, expression: str) -> None:
        self._compiled = compiled(expression)

    def of(self, value: Any) -> Any:
        """What it finds; None where nothing, or where a function meets a value of another type than it takes."""
        try:
            return self._compiled.search(value)
        except Exception:  # noqa: BLE001 - see above
            return None

    def holds(self, value: Any) -> bool:
        """Whether what it finds counts as true: neither false, null nor empty.

        An expression that fails on a value holds: a mail too many is better than one that nobody misses.
        """
        try:
            found = self._compiled.search(value)
        except Exception:  # noqa: BLE001 - see above
            return True
        return found is not None and found is not False and found not in ("", [], {})
