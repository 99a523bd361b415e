"""The sandbox that templates run in.

A template is its operator's own; the sandbox is there for mistakes, and for folders that others may write to. Events
are never compiled: they reach a template as values, and everything printed is escaped. What is missing raises, so that
a mail with holes is not sent: the general table stands in.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, override

from jinja2 import FileSystemLoader, StrictUndefined, Undefined
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from shared.webhooks.rendering.filters import FILTERS, shown, told
from shared.webhooks.rendering.markup import MARKUP_FILTERS, link
from shared.webhooks.rendering.paths import at_in, list_in, object_in, text_in

__all__ = ["SUFFIX", "TONES", "Sandbox"]

SUFFIX: Final = ".html.j2"
TONES: Final = ("critical", "warning", "ok", "info", "neutral")
LONGEST_RANGE: Final = 1_000  # numbers
LONGEST_PRODUCT: Final = 100_000  # characters or items of what a template multiplies


class Sandbox(ImmutableSandboxedEnvironment):
    """Templates of some folders, the first that has one; those of the layout win over all."""

    # What these make can be far larger than what they are given.
    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, layout: Path, folders: Sequence[Path]) -> None:
        super().__init__(
            loader=FileSystemLoader([layout, *folders]),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_printed,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,  # files of a deployment do not change, and a look at each costs on a network's disk
        )
        self.filters |= {**FILTERS, **MARKUP_FILTERS}
        self.tests |= {"telling": _telling, "text": lambda value: isinstance(value, str) and _telling(value)}
        del self.filters["safe"], self.globals["lipsum"]  # HTML of others goes through clean_html
        self.globals |= {"at_in": at_in, "list_in": list_in, "object_in": object_in, "text_in": text_in}
        self.globals |= {"range": _range, "link": link}

    @override
    def getattr(self, obj: Any, attribute: str) -> Any:
        """`data.items` is the event's key, never a method: what it means must not hang on what the sender left out."""
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    @override
    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping) and isinstance(argument, str):
            return self.getattr(obj, argument)
        return super().getitem(obj, argument)

    @override
    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "**" and not (numbers and abs(left) <= LONGEST_RANGE and abs(right) <= 10):  # noqa: PLR2004
            raise SecurityError("A power larger than templates need.")
        if operator == "*" and not numbers and _times(left, right) > LONGEST_PRODUCT:
            raise SecurityError("A product larger than templates need.")
        return super().call_binop(context, operator, left, right)


def _times(left: Any, right: Any) -> int:
    """How long a text or list times a number becomes."""
    number, value = (left, right) if isinstance(left, int) else (right, left)
    return len(value) * number if isinstance(number, int) and isinstance(value, str | list | tuple) else 0


def _range(*arguments: int) -> range:
    found = range(*arguments)
    if len(found) > LONGEST_RANGE:
        raise SecurityError("A range longer than templates need.")
    return found


def _telling(value: Any) -> bool:
    return told(value) is not None


def _printed(value: Any) -> Any:
    """What `{{ value }}` prints: nothing for none, yes and no, JSON for lists and objects. Markup stays markup."""
    return value if isinstance(value, str | Undefined) else shown(value)
