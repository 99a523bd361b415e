"""Takes values out of the environment, and notes what is wrong with them instead of raising it."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from shared.graph.endpoint import GRAPH_HOSTS, LOOPBACK_HOSTS, GraphEndpoint
from shared.policy.address_patterns import Patterns

__all__ = ["GUID", "SECRETS", "Problem", "Reader", "no_twins", "secret_setting"]

GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
SECRET: Final = frozenset({"AzureWebJobsStorage"})  # never shown
PREFIX: Final = "MAIL_"
SECRETS: Final = "MAIL_SECRET_"  # never shown
UNRESOLVED: Final = "@Microsoft.KeyVault("


@dataclass(frozen=True, slots=True)
class Problem:
    """One setting that cannot be used. `found` never holds a secret."""

    setting: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.setting}: found {self.found}, expected {self.expected}"


class Reader:
    """Takes values out of the environment, noting what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[Problem] = []
        self.unused: list[Problem] = []
        self.asked: set[str] = set()  # names of every value that was asked for, there or not
        self.in_azure = bool(environ.get("WEBSITE_SITE_NAME"))

    def given(self, name: str) -> bool:
        self.asked.add(name)
        return bool(self.environ.get(name, "").strip())

    def text(self, name: str) -> str | None:
        self.asked.add(name)
        value = self.environ.get(name, "").strip()
        if value.startswith(UNRESOLVED):
            # Azure hands a reference that it could not resolve to the app as it stands. It is no value.
            self.wrong(name, "a Key Vault reference that was not resolved", "the value itself, or nothing")
            return None
        return value or None

    def wrong(self, name: str, found: str, expected: str) -> None:
        self.problems.append(Problem(name, found, expected))

    def parsed[D](self, name: str, default: D, parse: Callable[[str], D], expected: str) -> D:
        value = self.text(name)
        if value is None:
            return default
        try:
            return parse(value)
        except (ValueError, KeyError):
            self.wrong(name, "a value (not shown)" if name in SECRET else repr(value), expected)
            return default

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        return self.parsed(name, default, _between(int, low, high), f"a whole number from {low} to {high}")

    def number(self, name: str, default: float, low: float, high: float) -> float:
        return self.parsed(name, default, _between(float, low, high), f"a number from {low:g} to {high:g}")

    def guid(self, name: str) -> str | None:
        def parse(value: str) -> str | None:
            if not GUID.fullmatch(value):
                raise ValueError
            return value.lower()

        return self.parsed(name, None, parse, "a GUID, 00000000-0000-0000-0000-000000000000")

    def graph(self) -> GraphEndpoint:
        def parse(value: str) -> GraphEndpoint:
            endpoint = GraphEndpoint.parse(value)
            if self.in_azure and endpoint.host in LOOPBACK_HOSTS:
                raise ValueError
            return endpoint

        expected = "https:// and one of " + ", ".join(GRAPH_HOSTS) + ", with the version: …/v1.0"
        default = GraphEndpoint.parse("https://graph.microsoft.com/v1.0")
        return self.parsed("GRAPH_BASE_URL", default, parse, expected)

    def authority(self, name: str, default: str) -> str:
        """An https URL; outside Azure also http on loopback."""

        def parse(value: str) -> str:
            parts = urlsplit(value)
            bare = not (parts.query or parts.fragment or parts.username or parts.password)
            loopback = parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS and not self.in_azure
            if not bare or not parts.hostname or not (parts.scheme == "https" or loopback):
                raise ValueError
            return value.rstrip("/")

        return self.parsed(name, default, parse, f"an https URL, such as {default or 'https://….core.windows.net'}")

    def patterns(self, name: str, default: str) -> Patterns:
        try:
            return Patterns.parse(self.text(name) or default)
        except ValueError as error:
            self.wrong(name, f"a pattern that is none: {error}", "addresses; * as a whole local part or first label")
            return Patterns.parse("")

    def secrets(self) -> Mapping[str, tuple[str, ...]]:
        """Secrets of routes, by the variable's name.

        What stands in a reference that Azure could not resolve is none: it would be one that everybody knows.
        """
        given = {name: value.partition(UNRESOLVED)[0].split() for name, value in self._of_routes()}
        return MappingProxyType({name: tuple(words) for name, words in given.items() if words})

    def unresolved_secrets(self) -> frozenset[str]:
        return frozenset(name for name, value in self._of_routes() if UNRESOLVED in value)

    def unknown(self) -> tuple[Problem, ...]:
        """Names that are meant for Mailroom and that nothing has asked for, with the nearest one.

        They stop nothing: a setting that another version has must not take this one down while versions change. To be
        called when everything is read. Which secrets have a route is known later (webhooks/routing/route_status.py).
        """
        names = (name for name in self.environ if name.upper().startswith(PREFIX) and name not in self.asked)
        found = "a name that Mailroom does not know"
        return tuple(Problem(name, found, self._meant(name)) for name in sorted(names) if not name.startswith(SECRETS))

    def _meant(self, name: str) -> str:
        upper = name.upper()
        known = [*sorted(self.asked), upper if upper.startswith(SECRETS) else f"{SECRETS}<ROUTE>"]
        begun = [one for one in known if one.startswith(f"{upper}_")]  # MAIL_RATE is MAIL_RATE_PER_MINUTE, not MAIL_TO
        known = begun if upper != PREFIX.rstrip("_") and begun else known
        return f"one of Mailroom's settings; the nearest is {get_close_matches(upper, known, 1, 0.0)[0]}"

    def _of_routes(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.environ.items() if name.startswith(SECRETS) and value.strip()]


def secret_setting(route: str) -> str:
    """The name of the variable with a route's secrets: `uptime-kuma` has MAIL_SECRET_UPTIME_KUMA."""
    return SECRETS + re.sub(r"[^A-Z0-9]", "_", route.upper())


def no_twins(text: str) -> None:
    """Raise ValueError where an object of a JSON text has a name twice: readers take the last, without a word."""

    def check(pairs: list[tuple[str, object]]) -> None:
        names = [name for name, _ in pairs]
        if len(names) > len(set(names)):
            raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands there twice")

    json.loads(text, object_pairs_hook=check)


def _between[N: (int, float)](kind: Callable[[str], N], low: N, high: N) -> Callable[[str], N]:
    def parse(value: str) -> N:
        number = kind(value)
        if not low <= number <= high:  # NaN too
            raise ValueError
        return number

    return parse
