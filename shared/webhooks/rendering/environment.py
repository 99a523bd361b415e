"""The sandbox in which templates run, and the functions that it gives them.

Templates are written by the operator; the sandbox guards against mistakes, and against folders that others can write
to. Events are never compiled: they reach a template as values, and everything that is printed is escaped. A missing
value raises an exception, and the general table is sent instead, so no mail has gaps.

Templates read an event by JMESPath: `at("pull_request.user.login")`. If there is no value, or a function gets a value
of another type, the result is the default, because senders may omit anything. Sentences use `text_at`, `list_at` and
`object_at`, so that they are never built from a value that is not text.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import Any, Final, override

from jinja2 import FileSystemLoader, StrictUndefined, Undefined
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from shared.webhooks.rendering.filters import FILTERS, shown, told
from shared.webhooks.rendering.identifiers import IDENTIFIER_FILTERS
from shared.webhooks.rendering.jira_markup import jira_markup
from shared.webhooks.rendering.markdown import markdown, markdown_to_text
from shared.webhooks.rendering.markup import MARKUP_FILTERS, link
from shared.webhooks.rendering.mrkdwn import mrkdwn
from shared.webhooks.rendering.slack_message import slack_message
from shared.webhooks.rendering.teams_message import teams_message
from shared.webhooks.sources.expressions import search

SUFFIX: Final = ".html.j2"
TONES: Final = ("critical", "warning", "ok", "info", "neutral")
IMPORTANCES: Final = ("low", "normal", "high")
LONGEST_RANGE: Final = 1_000  # numbers
LONGEST_PRODUCT: Final = 100_000  # characters or items of what a template multiplies


def at_in(value: Any, path: str, default: Any = None) -> Any:
    """What the path finds in the value; the default for null and nothing. Raises ValueError for a wrong path."""
    found = search(path, value)
    return default if found is None else found


def text_in(value: Any, *paths: str) -> str | None:
    """The first text that is not blank, or number as text, that these paths find; None: there is none."""
    for path in paths:
        found = search(path, value)
        if isinstance(found, str) and told(found):
            return found
        if isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found):
            return told(found)
    return None


def list_in(value: Any, path: str) -> list[Any]:
    """The list that the path finds, without nulls; an empty one where there is something else."""
    found = search(path, value)
    return [item for item in found if item is not None] if isinstance(found, list) else []


def object_in(value: Any, path: str) -> Mapping[str, Any]:
    """The object that the path finds; an empty one where there is something else."""
    found = search(path, value)
    return found if isinstance(found, Mapping) else {}


def _number(value: Any) -> bool:
    """As JSON has it; Python, and so Jinja, takes true and false for numbers too."""
    return isinstance(value, int | float) and not isinstance(value, bool)


class TemplateSandbox(ImmutableSandboxedEnvironment):
    """Templates from several folders, the first that has one; those of the layout take precedence over all."""

    # The results can be far larger than the operands.
    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, layout: Path, folders: Sequence[Path], zone: tzinfo | None = None) -> None:
        super().__init__(
            loader=FileSystemLoader([layout, *folders]),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_printed,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,  # a deployment's files do not change, and checking each is slow on a network's disk
        )
        self._safe: dict[tuple[type, str], bool] = {}  # attributes that there are, so no event makes it grow
        self.filters |= {**FILTERS, **IDENTIFIER_FILTERS, **MARKUP_FILTERS}
        self.filters |= {"moment": partial(FILTERS["moment"], zone=zone)}
        self.filters |= {"markdown": markdown, "markdown_to_text": markdown_to_text, "mrkdwn": mrkdwn}
        self.filters |= {"jira_markup": jira_markup, "slack_message": slack_message, "teams_message": teams_message}
        self.tests |= {"telling": _telling, "text": lambda value: isinstance(value, str) and _telling(value)}
        self.tests |= {"number": _number}
        del self.filters["safe"], self.globals["lipsum"]  # other people's HTML passes clean_html
        self.globals |= {"at_in": at_in, "list_in": list_in, "object_in": object_in, "text_in": text_in}
        self.globals |= {"range": _range, "link": link}

    @override
    def getattr(self, obj: Any, attribute: str) -> Any:
        """`data.items` is the event's key, never a method, whether the sender left that key out or not."""
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    @override
    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """As the sandbox decides: by the type and the name alone, so once for each. It was a third of a mail's time."""
        known = type(obj), attr
        if known not in self._safe:
            self._safe[known] = super().is_safe_attribute(obj, attr, value)
        return self._safe[known]

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
        if operator == "*" and not numbers and _product_length(left, right) > LONGEST_PRODUCT:
            raise SecurityError("A product larger than templates need.")
        return super().call_binop(context, operator, left, right)


def _product_length(left: Any, right: Any) -> int:
    """The length of a text or list times a number."""
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
