"""Reads values from the environment, and collects problems instead of raising them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from shared.settings.address_patterns import GUID
from shared.settings.clouds import LOOPBACK_HOSTS

PREFIX: Final = "MAIL_"
SECRETS: Final = "MAIL_SECRET_"  # values are never shown
UNRESOLVED: Final = "@Microsoft.KeyVault("


@dataclass(frozen=True, slots=True)
class Problem:
    """One setting that cannot be used. `found` never holds a secret."""

    setting: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.setting}: found {self.found}, expected {self.expected}"


class Wrong(ValueError):  # noqa: N818 - carries what was found; it is no fault of ours
    """A value that a parser cannot use. found: what was found, in words; one text for each problem."""

    def __init__(self, *found: str) -> None:
        super().__init__(*found)
        self.found = found


class Reader:
    """One read of the environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[Problem] = []
        self.unused: list[Problem] = []
        self.asked: set[str] = set()  # every name that was asked for, set or not
        self.in_azure = bool(environ.get("WEBSITE_SITE_NAME"))

    def given(self, name: str) -> bool:
        self.asked.add(name)
        return bool(self.environ.get(name, "").strip())

    def text(self, name: str) -> str | None:
        self.asked.add(name)
        value = self.environ.get(name, "").strip()
        if value.startswith(UNRESOLVED):
            # Azure gives a reference that it could not resolve to the app as it is. It is not a value.
            self.wrong(name, "a Key Vault reference that was not resolved", "the value itself, or nothing")
            return None
        return value or None

    def wrong(self, name: str, found: str, expected: str) -> None:
        self.problems.append(Problem(name, found, expected))

    def parsed[D](self, name: str, default: D, parse: Callable[[str], D], expected: str) -> D:
        """The value of a setting; `default` where it is not set, or where `parse` raises ValueError or KeyError."""
        value = self.text(name)
        if value is None:
            return default
        try:
            return parse(value)
        except (ValueError, KeyError) as error:
            for found in error.found if isinstance(error, Wrong) else (repr(value),):
                self.wrong(name, found, expected)
            return default

    def url(self, name: str, default: str) -> str:
        """An https URL without a trailing slash; outside Azure also http on loopback."""

        def parse(value: str) -> str:
            parts = urlsplit(value)
            bare = not (parts.query or parts.fragment or parts.username or parts.password)
            loopback = parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS and not self.in_azure
            if not bare or not parts.hostname or not (parts.scheme == "https" or loopback):
                raise ValueError
            return value.rstrip("/")

        expected = f"an https URL, such as {default or 'https://….core.windows.net'}"
        return self.parsed(name, default, parse, expected)

    def guid(self, name: str) -> str | None:
        def parse(value: str) -> str | None:
            if not GUID.fullmatch(value):
                raise ValueError
            return value.lower()

        return self.parsed(name, None, parse, "a GUID, 00000000-0000-0000-0000-000000000000")

    def secrets(self) -> Mapping[str, tuple[str, ...]]:
        """Secrets of routes, by the variable's name. A reference that Azure could not resolve is not a secret."""
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


def json_object(text: str, read: Callable[[str], Any]) -> dict[str, Any]:
    """A setting that is a JSON object. Raises Wrong, also for a name that occurs twice: readers take only the last."""

    def check(pairs: list[tuple[str, object]]) -> None:
        names = [name for name, _ in pairs]
        if len(names) > len(set(names)):
            raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} occurs twice")

    try:
        json.loads(text, object_pairs_hook=check)
        found: dict[str, Any] = read(text)
    except (ValueError, RecursionError) as error:
        raise Wrong(f"JSON of another shape ({error})") from error
    return found
