"""Takes values out of the environment, and notes what is wrong with them instead of raising it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from shared.graph.endpoint import GRAPH_HOSTS, LOOPBACK_HOSTS, GraphEndpoint
from shared.policy.patterns import Patterns

__all__ = ["GUID", "UNRESOLVED", "Problem", "Reader"]

GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
SECRET: Final = frozenset({"AzureWebJobsStorage"})  # never shown
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
        self.in_azure = bool(environ.get("WEBSITE_SITE_NAME"))

    def given(self, name: str) -> bool:
        return bool(self.environ.get(name, "").strip())

    def text(self, name: str) -> str | None:
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


def _between[N: (int, float)](kind: Callable[[str], N], low: N, high: N) -> Callable[[str], N]:
    def parse(value: str) -> N:
        number = kind(value)
        if not low <= number <= high:  # NaN too
            raise ValueError
        return number

    return parse
