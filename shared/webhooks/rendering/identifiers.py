"""Template filters that turn names from programs into words as people would write them."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.webhooks.rendering.filters import shown

LONGEST: Final = 1_000  # characters of an identifier
_HUMPS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\s_.-]+")
_ACTIONS: Final = {"write": "Create or update", "delete": "Delete", "read": "Read"}
# Types of resources that their own names do not tell, or that Azure also writes without capitals.
_KINDS: Final = {
    "autoscalesettings": "autoscale setting", "databaseaccounts": "Cosmos DB account", "managedclusters": "AKS cluster",
    "serverfarms": "App Service plan", "sites": "web app", "storageaccounts": "storage account",
    "virtualmachines": "virtual machine", "virtualmachinescalesets": "virtual machine scale set",
}  # fmt: skip
_PLURALS: Final = (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ss", "ss"), ("us", "us"), ("s", ""))


def phrase(value: Any) -> str | None:
    """An identifier in camel case: "threatStatus" is "Threat status", "threatID" "Threat ID"."""
    if value is None:
        return None
    text = _words(shown(value))
    return text[:1].upper() + text[1:]


def operation(value: Any) -> str | None:
    """An operation of Azure: "Microsoft.Compute/virtualMachines/write" is "Create or update virtual machine"."""
    if value is None:
        return None
    steps = [step for step in shown(value)[:LONGEST].split("/") if step]
    if len(steps) > 3 and steps[-1].lower() == "action":  # noqa: PLR2004 - provider, type and what is done
        steps.pop()
    if len(steps) < 3:  # noqa: PLR2004
        return shown(value)
    action, kind = _ACTIONS.get(steps[-1].lower()) or phrase(steps[-1]) or "", steps[-2]
    joint = " of " if " " in action and steps[-1].lower() not in _ACTIONS else " "
    return f"{action}{joint}{_KINDS.get(kind.lower()) or _singular(_words(kind))}"


def _words(name: str) -> str:
    parts = _HUMPS.sub(" ", name[:LONGEST]).split()
    return " ".join(part if part.isupper() and len(part) > 1 else part.lower() for part in parts)


def _singular(things: str) -> str:
    for end, instead in _PLURALS:
        if things.endswith(end):
            return things.removesuffix(end) + instead
    return things


IDENTIFIER_FILTERS: Final[Mapping[str, Callable[..., Any]]] = {"operation": operation, "phrase": phrase}
