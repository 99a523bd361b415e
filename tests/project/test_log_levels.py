"""host.json's log levels let every event of Mailroom through, and nothing else of what a call that succeeds writes."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.indexed import indexed

LEVELS: Final[Mapping[str, str]] = json.loads((Path(__file__).parents[2] / "host.json").read_text())["logging"][
    "logLevel"
]


def level(rules: Mapping[str, str], category: str) -> str | None:
    """The level of a category as .NET's LoggerRuleSelector finds it, in the order in which configuration gives rules.

    A rule holds for all categories that begin with its name, whatever follows and in any case; one `*` in it stands for
    anything. The longest name counts, of equally long ones the last; `default` only where there is no other.
    """
    best: str | None = None
    for name in sorted(rules, key=str.lower):
        if name.lower() == "default":
            continue
        assert name.count("*") < 2, "the host does not start with two wildcards in a name"
        head, _, tail = name.lower().partition("*")
        text = category.lower()
        holds = text.startswith(head) and text.endswith(tail)
        if holds and (best is None or len(best) <= len(name)):
            best = name
    return rules.get(best) if best else rules.get("default")


@pytest.mark.parametrize(
    ("rules", "category", "expected"),
    [
        ({"default": "Error"}, "Function.a.User", "Error"),
        ({"Function.a": "Warning"}, "Function.a.User", "Warning"),
        ({"Function.a": "Warning"}, "Function.a_b.User", "Warning"),
        ({"Function.a": "Warning", "Function.a.User": "Debug"}, "Function.a_b.User", "Warning"),
        ({"function.A.user": "Debug", "Function.a": "Warning"}, "Function.a.User", "Debug"),
        ({"Function": "Warning", "Function.*.User": "Debug"}, "Function.a_b.User", "Debug"),
        ({"Function.abcdefghijkl": "Warning", "Function.*.User": "Debug"}, "Function.abcdefghijkl.User", "Warning"),
        ({}, "Function.a", None),
    ],
)
def test_the_rules_are_dotnets(rules: Mapping[str, str], category: str, expected: str | None) -> None:
    assert level(rules, category) == expected


def test_every_functions_events_are_let_through() -> None:
    assert _uncovered(indexed(), LEVELS) == set()


def test_the_hosts_own_lines_about_a_call_are_not_kept() -> None:
    """They would cost more than all that Mailroom says, and most functions anybody can call, again and again.

    Of a failed invocation they are kept: that is an error.
    """
    assert {level(LEVELS, f"Function.{name}") for name in indexed()} == {"Warning"}


def test_every_level_is_of_a_function_that_is_there() -> None:
    assert {name.split(".")[1] for name in LEVELS if name.startswith("Function.")} == set(indexed())


def test_a_rule_of_one_function_says_nothing_of_another() -> None:
    """Without rows of its own a function would fall under the row of any other that its name begins with."""
    assert _uncovered(indexed(), {name: value for name, value in LEVELS.items() if "poison" not in name}) == {
        "mail_events_poison",
        "mail_outbox_poison",
        "mail_work_poison",
    }


def _uncovered(functions: Iterable[str], rules: Mapping[str, Any]) -> set[str]:
    return {name for name in functions if level(rules, f"Function.{name}.User") != "Information"}
