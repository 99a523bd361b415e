"""Declares settings that consist of one value, each with its name, default and parser; and defines the parsers.

A parser takes the text of a setting and raises ValueError or KeyError if it is invalid, or Wrong with an explanation.
"""

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any, Final, get_args
from urllib.parse import urlsplit

import msgspec

from shared.mail.addresses import canonical, checked
from shared.settings.address_patterns import GUID, Patterns
from shared.settings.environ import Wrong, json_object
from shared.settings.extended_properties import ExtendedProperties

POOL: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_DELAY: Final = 86_400.0  # seconds


def setting(name: str, default: object, parse: Callable[[str], Any], expected: str, *, shown: bool = True) -> Any:
    """A field that one variable gives. parse: raises ValueError or KeyError for a value that is not as expected."""
    return field(default=default, repr=shown, metadata={"setting": (name, parse, expected)})


def switch(name: str, *, default: bool) -> Any:
    return setting(name, default, lambda value: {"true": True, "false": False}[value.lower()], "true or false")


def integer(name: str, default: int, low: int, high: int) -> Any:
    return setting(name, default, _between(int, low, high), f"a whole number from {low} to {high}")


def number(name: str, default: float, low: float, high: float) -> Any:
    return setting(name, default, _between(float, low, high), f"a number from {low:g} to {high:g}")


def patterns(name: str, default: str) -> Any:
    def parse(value: str) -> Patterns:
        try:
            return Patterns.parse(value)
        except ValueError as error:
            raise Wrong(f"a pattern that cannot be used: {error}") from error

    return setting(name, Patterns.parse(default), parse, "addresses; * as a whole local part or first label")


def choice(name: str, kind: Any, default: str) -> Any:
    values = get_args(kind)

    def parse(value: str) -> str:
        if value.lower() not in values:
            raise ValueError
        return value.lower()

    return setting(name, default, parse, f"{', '.join(values[:-1])} or {values[-1]}")


def _between[N: (int, float)](kind: Callable[[str], N], low: N, high: N) -> Callable[[str], N]:
    def parse(value: str) -> N:
        number = kind(value)
        if not low <= number <= high:  # NaN too
            raise ValueError
        return number

    return parse


def applications(value: str) -> frozenset[str]:
    applications = value.replace(",", " ").split()
    if not all(map(GUID.fullmatch, applications)):
        raise ValueError
    return frozenset(map(str.lower, applications))


def addresses(value: str) -> tuple[str, ...]:
    addresses = tuple(map(checked, value.replace(",", " ").replace(";", " ").split()))
    if not addresses:
        raise ValueError
    return addresses


def one_address(value: str) -> str:
    if "*" in value:  # RFC 5322 allows it in an address; here it is more likely a pattern
        raise ValueError
    address = checked(value)
    if not address.isascii():  # a MIME mail could not name it
        raise ValueError
    return address


def vault(value: str) -> str:
    parts = urlsplit(value)
    bare = not (parts.query or parts.fragment or parts.username or parts.password or parts.path.strip("/"))
    if parts.scheme != "https" or not parts.hostname or not bare:
        raise ValueError
    return value.rstrip("/")


def delays(value: str) -> tuple[float, ...]:
    delays = tuple(float(part) for part in value.replace(",", " ").split())
    if not delays or not all(
        0 < early < late <= LONGEST_DELAY for early, late in itertools.pairwise((*delays, LONGEST_DELAY))
    ):
        raise ValueError
    return delays


def extended(value: str) -> ExtendedProperties:
    try:
        return ExtendedProperties.parse(value)
    except ValueError as error:
        raise Wrong(str(error)) from error


def pools(text: str) -> Mapping[str, tuple[str, ...]]:
    pools = json_object(text, msgspec.json.Decoder(dict[str, list[str]]).decode)
    for pool, members in pools.items():
        # A pool must not be taken for a mailbox, nor a mailbox for a pool.
        if not POOL.fullmatch(pool) or GUID.fullmatch(pool) or not members:
            raise Wrong(f"the pool {pool!r}")
    try:
        return MappingProxyType({pool: tuple(map(canonical, members)) for pool, members in pools.items()})
    except ValueError as error:
        raise Wrong(f"a mailbox that is no address: {error}") from error
