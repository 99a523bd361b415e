"""The general mail: any JSON as its reader wants it. What mails of real senders look like: routes/generic/examples."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.webhooks.rendering.event_file import HIDDEN, LARGEST_FILE, event_file
from shared.webhooks.rendering.mails import LARGEST, Renderer
from shared.webhooks.rendering.plain_text import text_of
from shared.webhooks.rendering.status_words import status_of
from shared.webhooks.rendering.summary import MOST_FACTS, Summary, summary_of
from tests.webhooks.rendering.samples import LAYOUT, RENDERER, event

# Surrogates too: they come in JSON as escapes.
TEXTS = st.text(st.characters(codec=None)) | st.sampled_from(
    [
        "{{ 7*7 }}",
        "<b>",
        "&amp;",
        "https://a.example/?a&b",
        "",
        '{"a": [1]}',
        "**b**",
        "[x](javascript:y)",
        "</p><img src=x>",
    ]
)
NAMES = TEXTS | st.sampled_from(["title", "name", "message", "status", "url", "data", "event", "labels", "id", "time"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=30,
)


def summary(data: Any, kind: str = "event", source: str = "generic", **given: Any) -> Summary:
    return summary_of(event(data=data, type=kind, source=source, **given), "backups", str)


@pytest.mark.parametrize(
    ("data", "title"),
    [
        ({"title": "A", "name": "B", "message": "C c"}, "A"),
        ({"name": "B", "summary": "S", "message": "C c"}, "S"),
        ({"message": "Two words", "name": "B"}, "B"),
        ({"data": {"title": "Inner"}}, "Inner"),
        ({"event": {"title": "Inner", "id": 7}, "version": "4"}, "Inner"),
        ({"payload": {"alert": {"name": "Deep"}}}, "Deep"),
        ([{"title": "Alone"}], "Alone"),
        ('{"title": "In a text"}', "In a text"),
        ({"Message": '{"AlarmName": "cpu-web-1"}'}, "cpu-web-1"),
        ("Plain text\nwith more", "Plain text"),
        (7, "Value: 7"),
        ({"exit": 3}, "Exit: 3"),
        ({"id": "5f2b", "pusher": "ada", "tag": "4.2"}, "Tag: 4.2"),
        ({"key": "SHOP-42", "summary": "Basket is empty"}, "SHOP-42 Basket is empty"),
        ({"message": "<b>Disk</b> full<br>now"}, "Disk full"),
        ({"text": "See <https://a.example|the page>"}, "See the page"),
        ([{"host": "web-1", "state": "bad"}, {"host": "web-2", "state": "bad"}], "web-1, bad and 1 more"),
        ({"ProblemTitle": "Disk full", "Entities": [{"name": "web-1"}]}, "Disk full"),
        ({"user_name": "ada", "DetectName": "Process stopped"}, "Process stopped"),
        ({"address": "10.0.0.4", "SERVICEOUTPUT": "load: 22.0"}, "Serviceoutput: load: 22.0"),
        ({"rule": {"description": "Brute force"}, "manager": {"name": "m"}}, "Brute force"),
        ([{"eventType": "contact.creation", "via": "A"}, {"eventType": "x", "via": "B"}],
         "contact.creation, A and 1 more"),
        ({"message": {"data": "eyJ0aXRsZSI6ICJJbiBiYXNlNjQifQ=="}}, "In base64"),
        ('"{\\"title\\": \\"Twice a text\\"}"', "Twice a text"),
        ({"name": "Backup", "status": "up"}, "Backup \u2013 up"),
        ({}, "Backups"), (None, "Backups"), ({"id": "5f2b"}, "Backups"), ({"ok": True}, "Backups \u2013 OK"),
    ],
)  # fmt: skip
def test_the_title_is_what_says_most(data: Any, title: str) -> None:
    assert summary(data).title == title


@pytest.mark.parametrize(
    ("kind", "data", "title"),
    [
        ("order.paid", {"name": "Ada"}, "Order paid: Ada"),
        ("com.example.object.deleted.v2", {}, "Object deleted"),
        ("public", {}, "Public event"),
        ("Instance State-change", {}, "Instance State-change"),
        ("SCANNING_COMPLETED", {"name": "web"}, "Scanning completed: web"),
        ("backup.failed", {"title": "Backup of db-01 failed"}, "Backup of db-01 failed"),
        ("key.made_up", {"name": "x"}, "x"),
        ("backups.own", {"name": "x"}, "x"),
    ],
)
def test_a_type_that_the_sender_gives_says_what_has_happened(kind: str, data: Any, title: str) -> None:
    assert summary(data, kind).title == title


@pytest.mark.parametrize(
    ("data", "source", "name"),
    [
        ({"host": "db-01", "title": "x"}, "generic", "db-01"),
        ({"repository": {"name": "shop", "full_name": "contoso/shop"}, "title": "x"}, "generic", "contoso/shop"),
        ({"title": "x", "name": "site"}, "generic", "site"),
        ({"title": "x"}, "generic", "backups"),
        ({"title": "x"}, "https://github.com/contoso/shop", "contoso/shop"),
        ({"title": "x"}, "https://shop.contoso.com/a/b/c", "shop.contoso.com"),
        ({"title": "x"}, "/subscriptions/1/vm/web-1", "web-1"),
    ],
)
def test_the_subject_names_repository_host_or_service_else_the_source_else_the_route(
    data: Any, source: str, name: str
) -> None:
    assert summary(data, source=source).name == name


def test_firing_and_resolved_never_have_the_same_subject() -> None:
    for name in ("status", "state", "alert", "event_type", "action"):
        words = ("firing", "resolved", "acknowledged", "down", "up", "close")
        subjects = {summary({"title": "Disk full", name: word}).subject for word in words}
        assert len(subjects) == len(words), name


@pytest.mark.parametrize(
    ("values", "label", "tone"),
    [
        ({"status": "down"}, "Down", "critical"), ({"state": "\U0001f534 DOWN"}, "Down", "critical"),
        ({"status": "resolved", "severity": "critical"}, "Resolved", "ok"),
        ({"status": "firing", "severity": "warning"}, "Firing \u00b7 Warning", "warning"),
        ({"severity": "High"}, "High", "critical"), ({"priority": "P3"}, "P3", "warning"),
        ({"eventtype": "incident.triggered", "status": "acknowledged"}, "Acknowledged", "info"),
        ({"eventtype": "incident.triggered"}, "Triggered", "critical"), ({"action": "create"}, "Created", "info"),
        ({"success": False}, "Failed", "critical"), ({"success": True}, "Succeeded", "ok"),
        ({"failed": False}, None, ""), ({"text": "down"}, None, ""), ({"status": "down the road"}, None, ""),
        ({"status": 2}, None, ""),
        ({"failed": "false", "success": "true"}, "Succeeded", "ok"),
        ({"success": "false"}, "Failed", "critical"),
        ({"previousstatus": "down"}, None, ""), ({"oldstatevalue": "ALARM", "newstatevalue": "OK"}, "OK", "ok"),
        ({"laststate": "critical", "expectedstatus": "up", "fromstate": "down", "notifystatus": "failed"}, None, ""),
        ({"priority": "urgent"}, None, ""), ({"temperature": "high"}, None, ""), ({"status": None}, None, ""),
    ],
)  # fmt: skip
def test_a_badge_and_its_colour_need_a_word_that_proves_them(
    values: dict[str, Any], label: str | None, tone: str
) -> None:
    status = status_of(values.items())
    assert (status and status.label, status.tone if status else "") == (label, tone)


@pytest.mark.parametrize(
    ("data", "page"),
    [
        ({"url": "https://a.example/api/7", "web_url": "https://a.example/7"}, "https://a.example/7"),
        ({"link": "https://a.example/1", "html_url": "https://a.example/2"}, "https://a.example/2"),
        ({"data": {"title": "x", "url": "https://a.example/1"}, "user": {"html_url": "https://a.example/u"}}, "https://a.example/1"),
        ({"avatar_url": "https://a.example/1", "callback_url": "https://a.example/2"}, None),
        ({"_links": {"html": {"href": "https://a.example/1"}, "self": {"href": "https://a.example/2"}}}, "https://a.example/1"),
        ({"cancel_url": "https://a.example/1", "reschedule_url": "https://a.example/2"}, None),
        ({"url": "https://ada:hush@a.example/"}, None),
        ({"url": "javascript:alert(1)"}, None), ({"url": "/relative"}, None),
    ],
)  # fmt: skip
def test_the_button_leads_to_the_page_for_people(data: Any, page: str | None) -> None:
    assert summary(data).page == page


def test_facts_are_what_tells_something_and_at_most_twelve() -> None:
    untold = {
        "id": 7, "user_id": 9, "accountId": "a", "uuid": "0d3a9d2f-1b1a-4f0f-b6a0-50a8dce5e9b4", "sha": "abc",
        "etag": "x", "avatar": "y", "commit_url": "https://a.example", "none": None, "empty": "", "list": [], "o": {},
        "blank": "  ", "digest": "954b378c375d852eb3c63ab88978f640", "password": "hush", "type": "a", "draft": False,
    }  # fmt: skip
    told = {"exitCode": 3, "started_at": "2026-11-22T01:00:00Z", "user": {"login": "ada", "id": 1}, "tags": ["a", "b"]}
    found = summary({"title": "Failed", **untold, **told})
    assert found.facts == [("Exit code", 3), ("Started at", "2026-11-22T01:00:00Z"), ("User", "ada"), ("Tags", "a, b")]
    assert found.left_out
    assert len(summary({"title": "x", **{f"n{n}": n for n in range(40)}}).facts) == MOST_FACTS


def test_times_are_recognised_by_form_or_name() -> None:
    def times(**data: Any) -> list[Any]:
        found = summary_of(event(data={"title": "x", **data}, type="event"), "s", lambda value: f"at {value}")
        return [value for _, value in found.facts]

    assert times(date=1764412345) == ["at 1764412345.0"]
    assert times(ts="1764412345000", n=1764412345) == ["at 1764412345.0", 1764412345]
    assert times(when="2026-11-29 10:23:05 UTC") == ["at 2026-11-29 10:23:05+00:00"]
    assert times(start="2026-11-29T10:23:05") == ["2026-11-29 10:23"], "without a zone, none is claimed"
    assert len(times(a_at=1764412345, b_at=1764412346, c_at=1764412347)) == 2
    assert times(time="1e999") == ["1e999"], "and never an endless division"


def test_lists_of_like_objects_are_tables_and_pairs_are_facts() -> None:
    rows = [{"id": n, "name": f"web-{n}", "value": n, "unit": "%"} for n in range(30)]
    (table,) = summary({"title": "x", "hosts": rows}).tables
    assert (table.label, table.columns, table.total, len(table.rows)) == ("Hosts", ["Name", "Value", "Unit"], 30, 20)
    assert table.rows[1] == ["web-1", 1, "%"]
    found = summary({"title": "x", "people": [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Bo"}]})
    assert (found.tables, found.facts) == ([], [("People", "Ada, Bo")])
    fields: list[Any] = [{"title": "Host", "value": "web-1", "short": True}, {"title": "Load", "value": 3}]
    assert summary({"title": "x", "fields": fields}).facts == [("Load", 3)], "the host is in the subject"
    assert summary({"title": "x", "tags": [["browser", "Chrome"], ["os", "Linux"]]}).facts[1] == ("Os", "Linux")


def test_long_texts_are_paragraphs_in_their_own_form() -> None:
    data = {
        "title": "x",
        "description": "two words",
        "log": "a   1\nb   2\n",
        "body": "**bold it**",
        "html": "<p>a</p>\n<p>b</p>",
    }
    found = {one.heading: (one.kind, str(one.text)) for one in summary(data).paragraphs}
    assert found["Log"] == ("code", "a   1\nb   2")
    assert found["Html"] == ("text", "<p>a</p>\n<p>b</p>")
    assert [str(one.text) for one in summary(data).paragraphs[:2]] == ["two words", "<p><strong>bold it</strong></p>\n"]


def test_a_short_title_is_completed_by_the_message_in_the_subject() -> None:
    found = summary({"title": "Water", "message": "Leak in the cellar"})
    assert (found.title, found.subject) == ("Water", "Water: Leak in the cellar")


def test_the_whole_event_is_attached_where_something_is_left_out_with_its_secrets_hidden() -> None:
    data = {
        "title": "x",
        "id": 7,
        "client_secret": "seti_1",
        "a": {"Password": "hush", "api-key": "k"},
        "secretary": "A",
        "callback": "https://ada:hush@a.example/?page=1&access_token=hush",
        "note": "Bearer hush-hush-hush",
        "inner": '{"pwd": "hush"}',
        "pairs": [{"name": "password", "value": "hush"}, {"name": "Level", "value": 3}],
    }
    mail = RENDERER.render(event(data=data, type="event"), "shop", None)
    assert json.loads(mail.file or b"") == data | {
        "client_secret": HIDDEN,
        "a": {"Password": HIDDEN, "api-key": HIDDEN},
        "callback": "https://ada:\u2026@a.example/?page=1&access_token=\u2026",
        "note": "Bearer \u2026",
        "inner": json.dumps({"pwd": HIDDEN}),
        "pairs": [{"name": "password", "value": HIDDEN}, {"name": "Level", "value": 3}],
    }
    text = text_of(mail.html)
    assert "The whole event is attached: event.json" in text
    assert not re.search("seti_1|hush", text)
    assert RENDERER.render(event(data={"title": "x", "exit": 3}, type="event"), "shop", None).file is None


def test_an_event_that_is_too_large_to_attach_says_so() -> None:
    for data in ({"id": 1, "a": ["x" * 1000] * 600}, {"id": 1, "a": ["\u20ac" * 1000] * 200}):
        assert event_file(data) is None
        text = text_of(RENDERER.render(event(data=data, type="event"), "shop", None).html)
        assert "There is more in the event, which is too large to be attached." in text
    assert len(event_file(["x" * 1000] * 400) or b"") < LARGEST_FILE
    assert event_file({"a": "\ud800"}) == b'{\n  "a": "?"\n}'


@settings(max_examples=100, deadline=None)
@given(JSON, TEXTS, TEXTS, st.none() | TEXTS)
def test_any_event_gives_a_mail_with_nothing_unescaped(data: Any, kind: str, source: str, subject: str | None) -> None:
    mail = RENDERER.render(event(data=data, type=kind, source=source, subject=subject), "shop", None)
    assert (mail.template, mail.failed) == ("table", None)
    assert mail.subject
    mail.html.encode()
    ours = "html|head|meta|title|style|body|table|tbody|tr|t[dh]|h[1-3]|div|p|a|br|pre|strong|em|hr|[uo]l|li|blockquote"
    assert not re.search(rf"<(?!(/?({ours}|code)\b)|!)", mail.html)
    assert "49" not in text_of(mail.html) or "49" in json.dumps([data, kind, source, subject])


@pytest.mark.parametrize(
    "text", ["&" * 3_000_000, "\n\n" * 1_000_000, "https://a.example/" + "&" * 1_900, "\U0001f600" * 10**6]
)
def test_the_largest_event_is_a_mail_that_graph_takes(text: str) -> None:
    large = event(id=text, source=text, type=text, subject=text, data={text: [text] * 1_000})
    mail = Renderer(LAYOUT).render(large, "shop", None)
    assert len(mail.html.encode()) < LARGEST


def test_an_event_without_data_says_so() -> None:
    assert "The event carries no data." in text_of(RENDERER.render(event(data=None), "shop", None).html)
