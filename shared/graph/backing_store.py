"""Where the SDK's models keep their values here: a plain dictionary, without the tracking of changes.

The SDK's own store notes what has changed in a model since it was read, and goes through all models inside on each
assignment: for a mail with two recipients that is a millisecond and more, a third of what sending it costs. A mail is
built once and written whole, so there is nothing to track. A store of one's own is kiota's extension point:
https://learn.microsoft.com/openapi/kiota/models#backing-store.
"""

from collections.abc import Callable
from typing import Any

from kiota_abstractions.store.backing_store import BackingStore

__all__ = ["PlainStore"]


class PlainStore(BackingStore[Any]):
    """Every value counts as changed, and nobody is told of a change. A None set after the model was made is a null."""

    is_initialization_completed = False
    return_only_changed_values = False

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._nulls: set[str] = set()

    def get(self, key: str) -> Any:
        return self._values.get(key)

    def set(self, key: str, value: Any) -> None:
        self._values[key] = value
        if value is None and self.is_initialization_completed:
            self._nulls.add(key)
        else:
            self._nulls.discard(key)

    def enumerate_(self) -> list[tuple[str, Any]]:
        return list(self._values.items())

    def enumerate_keys_for_values_changed_to_null(self) -> list[str]:
        return list(self._nulls)

    def subscribe(self, callback: Callable[[str, Any, Any], None], subscription_id: str | None = None) -> str:  # noqa: ARG002 - as the SDK has it
        return subscription_id or ""

    def unsubscribe(self, subscription_id: str) -> None:
        """Nobody is subscribed."""

    def clear(self) -> None:
        self._values.clear()
        self._nulls.clear()
