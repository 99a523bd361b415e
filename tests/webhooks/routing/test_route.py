"""route.toml: what may stand in it, and how a fault is named."""

from pathlib import Path

import pytest

from shared.webhooks.routing.route import Route
from shared.webhooks.routing.route_file import RouteError, read_route


def written(folder: Path, text: str, name: str = "shop") -> Route:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "route.toml").write_text(text, "utf-8")
    return read_route(name, folder / name)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(RouteError) as error:
        written(folder, text)
    return str(error.value).removeprefix(str(folder / "shop"))


def test_addresses_of_a_route_have_their_canonical_form_or_their_line_is_named(tmp_path: Path) -> None:
    text = 'source = "key"\nsender = "Shop@B\u00dcCHER.example"\n[events."x"]\ncc = ["Ops@b\u00fccher.Example"]\n'
    route = written(tmp_path, text)
    assert route.sender == "shop@xn--bcher-kva.example"
    assert route.rules_for("x").cc == ("Ops@xn--bcher-kva.example",)
    for wrong, place in (("B\u00dcCHER", r":2: sender: no mail address"), ("Ops@b", r":4: events\.x\.cc: entry 1")):
        with pytest.raises(RouteError, match=place):
            written(tmp_path, text.replace(wrong, f"{wrong[:-1]}\uff43"))


def test_rules_of_an_event_stand_above_those_of_the_route(tmp_path: Path) -> None:
    """What the others say is in test_compose.py."""
    route = written(
        tmp_path,
        """
        source = "key"
        recipients = ["ops@contoso.com"]
        importance = "low"
        repeat_window_minutes = 5
        [events."order.*"]
        importance = "high"
        [events."order.test"]
        skip = true
        """,
    )
    assert route.window == 300
    rules = route.rules_for("order.paid")
    assert (rules.importance, rules.skip, rules.recipients) == ("high", None, ("ops@contoso.com",))
    assert route.rules_for("order.test").skip is True
    assert route.rules_for("order.test").importance == "high"
    assert route.rules_for("refund").importance == "low"


def test_the_closest_pattern_wins_wherever_it_stands(tmp_path: Path) -> None:
    text = 'source = "key"\n[events."build.failed"]\nimportance = "high"\n[events."build.*"]\nimportance = "low"\n'
    route = written(tmp_path, text)
    assert route.rules_for("build.failed").importance == "high"
    assert route.rules_for("build.done").importance == "low"


WRONG = {
    "no TOML": ('source = "github"\nrecipients = [\n', "/route.toml:2: no TOML: Invalid value: recipients = [."),
    "no source": ("recipients = []", "/route.toml:1: the entry source is missing"),
    "another source": ('\nsource = "gitea"', "/route.toml:2: source: 'gitea' is none of alertmanager, "),
    "an unknown entry": (
        'source = "key"\n\nrecipient = ["a@contoso.com"]',
        "/route.toml:3: recipient: unknown entry",
    ),
    "a wrong type": (
        'source = "key"\nrecipients = "a@contoso.com"',
        '/route.toml:2: recipients: Expected a list, ["…"], found a text',
    ),
    "a wrong choice": (
        'source = "key"\n\n\nimportance = "urgent"',
        "/route.toml:4: importance: 'urgent' is none of low, normal, high",
    ),
    "no address": ('source = "key"\ncc = ["a@contoso.com", "b"]', "/route.toml:2: cc: entry 2 is no mail address"),
    "no JMESPath": ('source = "key"\nwhen = "data.["', "/route.toml:2: when: no JMESPath"),
    "recipients without a list": (
        'source = "key"\n# who\nrecipients_from = "data.mail"',
        "/route.toml:3: recipients_from: recipients from events need a list",
    ),
    "a wrong list": ('source = "key"\nallow = ["a*@contoso.com"]', "/route.toml:2: allow: "),
    "a list that nothing uses": (
        'source = "key"\n\nallow = ["*@contoso.com"]\nrecipients = ["a@fabrikam.com"]',
        "/route.toml:3: allow: nothing uses this without recipients_from",
    ),
    "a tolerance that nothing uses": (
        'source = "hmac"\n[options]\nheader = "X-A"\ntolerance = 60',
        "/route.toml:4: options.tolerance: nothing uses this without timestamp_header",
    ),
    "the same of Grafana": (
        'source = "grafana"\n[options]\ntolerance = 60',
        "/route.toml:3: options.tolerance: nothing",
    ),
    "a header that nothing uses": (
        'source = "key"\n[options]\naccept = ["bearer"]\nheader = "X-A"',
        "/route.toml:4: options.header: nothing uses this",
    ),
    "applications without an audience": (
        f'source = "eventgrid"\n[options]\nallowed_apps = ["{"1" * 8}"]\ntenant = "x"',
        "/route.toml:3: options.allowed_apps: nothing uses this without audience",
    ),
    "too short a memory": ('source = "key"\nkeep_days = 7', "/route.toml:2: keep_days: Expected a whole number >= 8"),
    "an unknown option": ('source = "github"\n[options]\ncolour = "red"', "/route.toml:3: options.colour: unknown"),
    "a wrong event rule": (
        'source = "github"\n[events."push"]\nskip = true\n[events."issues.*"]\nskip = 1',
        '/route.toml:5: events."issues.*".skip: Expected true or false, found a whole number',
    ),
    "an option above its table": ('source = "key"\ntype = "data.a"', "/route.toml:2: type: this is an option of the"),
    "an entry below the table of options": (
        'source = "key"\n[options]\ncc = ["a@contoso.com"]',
        "/route.toml:3: options.cc: a source has no such option; expected it above [options]",
    ),
    "a type of events without quotes": (
        'source = "key"\n[events.order.paid]\nskip = true',
        '/route.toml:2: events.order.paid: unknown entry; expected [events."order.paid"]',
    ),
    "almost an entry": (
        'source = "key"\nsubjct = "a"',
        "/route.toml:2: subjct: unknown entry; the nearest is subject;",
    ),
    "a filter that compares names": (
        "source = 'key'\n\nwhen = 'data.status == \"failed\"'",
        "/route.toml:3: when: in JMESPath \"failed\" is a name; the value is 'failed'",
    ),
    "a filter of what no event has": (
        "source = 'key'\nwhen = \"status == 'failed'\"",
        "/route.toml:2: when: there is no status here, only id, source, type, subject, time, thread, data, extensions;",
    ),
    "recipients out of what no event has": (
        "source = 'key'\nallow = ['*']\nrecipients_from = 'customer.mail'",
        "/route.toml:3: recipients_from: there is no customer here, only id, ",
    ),
    "an option that is no path": (
        "source = 'key'\n[options]\ntype = 'backup'",
        "/route.toml:3: options.type: there is no backup here, only data, headers; expected data.backup, or the text",
    ),
    "a wrong filter of an event": (
        'source = "github"\n[events."issues.*"]\nwhen = "("',
        '/route.toml:3: events."issues.*".when: no JMESPath',
    ),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_a_fault_is_named_with_file_line_and_entry(tmp_path: Path, text: str, expected: str) -> None:
    assert refused(tmp_path, text).startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('source = "key"\nimportance = "HIGH"', "'HIGH' is none of low, normal, high"),
        ('source = "key"\n[options]\naccept = ["bearr"]', "'bearr' is none of bearer, header, basic"),
        ('source = "standard-webhooks"\n[options]\nheaders = "swix"', "'swix' is none of webhook, svix"),
        ('source = "stripe"\n[options]\nheader = "x"', "unknown entry; known entries: none"),
    ],
)
def test_what_may_stand_in_an_entry_is_said_where_something_else_does(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in refused(tmp_path, text)


def test_a_byte_order_mark_before_a_route_is_no_part_of_it(tmp_path: Path) -> None:
    """Editors of Windows write it."""
    assert written(tmp_path, "\ufeffsource = 'key'").source.name == "key"


def test_a_folder_without_its_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(RouteError, match=r"route\.toml: cannot be read"):
        read_route("shop", tmp_path)


@pytest.mark.parametrize("name", ["Shop", "my shop", "-shop", "shop.", "x" * 64, "süd"])
def test_a_name_that_cannot_stand_in_an_address_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RouteError, match="name"):
        written(tmp_path, 'source = "key"', name)
