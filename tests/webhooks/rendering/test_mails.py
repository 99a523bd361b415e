"""From an event to the subject and the HTML of a mail: which template, what it may do, and what stands in for it."""

import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.webhooks.rendering.environment import TemplateSandbox
from shared.webhooks.rendering.look import Look
from shared.webhooks.rendering.mails import LARGEST, Renderer
from shared.webhooks.rendering.plain_text import text_of
from tests.webhooks.rendering.samples import LAYOUT, event, rendered, templates

HOSTILE = "<script>alert('x')</script>{{ 7*7 }}{% raw %}\"&amp;"


def bodies(**texts: str) -> dict[str, str]:
    return {name: "{% block body %}" + text + "{% endblock %}" for name, text in texts.items()}


def chosen(kind: str, *folders: Path, template: str | None = None) -> str:
    mail = Renderer(LAYOUT).render(event(type=kind), "shop", folders, template)
    assert mail.failed is None
    return mail.template


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("order.paid", "order.paid"), ("Order.Paid", "order.paid"), ("order.paid.twice", "order.paid"),
        ("order.sent", "order"), ("order", "order"), ("order/paid", "table"),
        ("Microsoft.Storage/BlobCreated", "table"), ("a b", "a-b"), ("orders", "table"), ("..", "table"),
        ("../order", "table"), ("mail", "table"), ("parts", "table"), ("", "table"),
    ],
)  # fmt: skip
def test_the_closest_template_for_the_type_of_an_event_is_taken(tmp_path: Path, kind: str, expected: str) -> None:
    templates(tmp_path, order="", order_paid="", **{"a-b": ""})
    assert chosen(kind, tmp_path) == expected


def test_the_template_of_the_route_is_for_events_that_have_none_of_their_own(tmp_path: Path) -> None:
    templates(tmp_path, order="", other="")
    assert chosen("order.paid", tmp_path, template="other") == "order"
    assert chosen("ticket", tmp_path, template="other") == "other"
    assert chosen("ticket", tmp_path, template="other.html.j2") == "other"


def test_a_route_of_ones_own_wins_over_the_ready_one(tmp_path: Path) -> None:
    own, ready = tmp_path / "own", tmp_path / "ready"
    own.mkdir()
    ready.mkdir()
    templates(ready, **bodies(order="ready", ticket="ready", mine="ready"))
    templates(own, **bodies(mine="own"))
    assert chosen("order", own, ready) == "order"
    assert chosen("order", own, ready, template="mine") == "mine"
    assert "own" in Renderer(LAYOUT).render(event(type="mine"), "shop", [own, ready]).html


def test_a_missing_template_is_said_and_the_table_stands_in(tmp_path: Path) -> None:
    mail = Renderer(LAYOUT).render(event(), "shop", tmp_path, "absent")
    assert (mail.template, mail.failed) == ("table", "There is no template absent.html.j2.")
    assert "There is no template absent.html.j2." in text_of(mail.html)


def test_a_route_cannot_replace_what_all_mails_share(tmp_path: Path) -> None:
    (tmp_path / "mail.html.j2").write_text("mine")
    (tmp_path / "parts.html.j2").write_text("mine")
    assert "mine" not in rendered(tmp_path, "{{ heading('x') }}").html


@pytest.mark.parametrize(
    "call",
    [
        "{{ x }}",
        "{{ paragraph(x) }}",
        "{{ facts([(x, x)]) }}",
        "{{ quote(x) }}",
        "{{ code(x) }}",
        "{{ bullets([x, x]) }}",
        "{{ heading(x) }}",
        "{{ buttons([(x, 'https://example.com'), (x, x)]) }}",
        "{{ link(x, x) }}{{ link(x, 'https://example.com') }}",
        "{{ paragraph(x|html_to_text) }}{{ paragraph(x|first_line) }}{{ x|lines }}{{ x|shorten(30) }}",
        "{{ [x]|join('<b>') }}{{ x ~ x }}{{ {'a': x} }}{{ [[x]] }}",
    ],
)
def test_everything_from_an_event_is_escaped_and_never_compiled(tmp_path: Path, call: str) -> None:
    mail = rendered(tmp_path, "{% set x = data.x %}" + call, {"x": HOSTILE}, type="order.<i>", id="<i>", source="<i>")
    assert "<script" not in mail.html
    assert "<i>" not in mail.html
    assert ">49" not in mail.html
    assert mail.subject == "order.<i>"


def test_the_subject_the_title_and_the_preheader_escape_too(tmp_path: Path) -> None:
    text = "".join(
        f"{{% block {name} %}}{{{{ data.x }}}}{{% endblock %}}" for name in ("subject", "title", "preheader", "body")
    )
    folder = templates(tmp_path, order="{% set label = data.x %}" + text)
    mail = Renderer(LAYOUT).render(event(data={"x": HOSTILE}), HOSTILE, folder)
    assert mail.failed is None
    assert "<script" not in mail.html
    assert mail.subject == HOSTILE


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("[{{ data.a }}] & more", "[<b> &amp;] & more"),
        ("{{ data.inject }}", "x Bcc: everyone@example.com y"),
        ("\n  {% if true %}\n  Order\n  {{ data.n }}\n  {% endif %}\n", "Order 7"),
        ("  ", "order.paid"),
        ("{{ data.nothing }}", "order.paid"),
        ("{{ data.long }}", "l" * 254 + "…"),
    ],
)
def test_a_subject_is_plain_text_on_one_line(tmp_path: Path, block: str, expected: str) -> None:
    data = {
        "a": "<b> &amp;",
        "inject": "x\r\nBcc: everyone@example.com\u2028y",
        "n": 7,
        "nothing": None,
        "long": "l" * 999,
    }
    folder = templates(tmp_path, order="{% block subject %}" + block + "{% endblock %}")
    mail = Renderer(LAYOUT).render(event(data=data), "shop", folder)
    assert (mail.subject, mail.failed) == (expected, None)
    again = Renderer(LAYOUT).render(event(data=data), "shop", tmp_path, subject=block)
    assert (again.subject, again.failed) == (expected, None)


def test_the_subject_of_the_route_wins_and_is_the_title_where_there_is_none(tmp_path: Path) -> None:
    folder = templates(tmp_path, order="{% block subject %}mine{% endblock %}")
    mail = Renderer(LAYOUT).render(event(data={"n": 7}), "shop", folder, subject="{{ route }}: {{ at('n') }}")
    assert mail.subject == "shop: 7"
    assert "<h1" in mail.html
    assert text_of(mail.html).startswith("shop: 7\n")


def test_a_subject_that_fails_leaves_the_mail_its_own(tmp_path: Path) -> None:
    folder = templates(tmp_path, order="{% block subject %}mine{% endblock %}")
    for subject in ("{{ data.absent }}", "{{ wrong", "{% for n in range(1000) %}{{ 'x' * 9999 }}{% endfor %}"):
        mail = Renderer(LAYOUT).render(event(), "shop", folder, subject=subject)
        assert (mail.subject, mail.template) == ("mine", "order")
        assert mail.failed
        assert mail.failed.startswith("The subject in the route failed (")


@pytest.mark.parametrize(
    "expression",
    [
        "''.__class__", "''.__class__.__mro__[1].__subclasses__()", "event.__init__.__globals__",
        "event.time.__class__", "self.__init__.__globals__", "at.func", "at.__call__", "link.__globals__",
        "range.__globals__", "facts.__globals__", "data|attr('__class__')", "''|attr('__class__')",
        "'{0.__class__}'.format(event)", "lipsum.__globals__", "cycler.__init__.__globals__", "event['__class__']",
        "range(100000)", "'x' * 1000000", "1000000 * ['x']", "9 ** 9999", "data.items.append(1)", "data.update({})",
        "data.absent", "absent", "at('[')", "at('nope(@)')", "data.text.absent",
    ],
)  # fmt: skip
def test_what_the_sandbox_does_not_give_fails_and_the_table_stands_in(tmp_path: Path, expression: str) -> None:
    data = {"items": [1], "text": "secret-of-the-event"}
    place = templates(tmp_path, **bodies(order=f"\n{{{{ {expression} }}}}"))
    mail = Renderer(LAYOUT).render(event(data=data), "shop", place)
    assert mail.template == "table"
    assert mail.failed
    assert "secret" not in mail.failed
    assert re.fullmatch(r"The template order\.html\.j2 failed in line 4 \(\w+\)\.", mail.failed)
    assert mail.failed in text_of(mail.html)
    assert "secret-of-the-event" in mail.html
    assert data == {"items": [1], "text": "secret-of-the-event"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{% block body %}\n{{ wrong", "is wrong in line 4"),
        ("{% block body %}{{ 1|nofilter }}{% endblock %}", "is wrong in line 3"),
        ("{% block body %}{% include 'absent' %}{% endblock %}", "uses another one that does not exist"),
        ("{% extends 'order.html.j2' %}", "failed"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{% block body %}{{ m() }}{% endblock %}", "(RecursionError)"),
        ("{% block body %}{% for a in range(1000) %}{{ 'x' * 9999 }}{% endfor %}{% endblock %}", "more than a mail"),
        ("{% block body %}{% for a in range(999) %}<div>{% endfor %}{% endblock %}", "more than a mail"),
        ("{% block body %}{% for a in range(20) %}{{ data.big }}{% endfor %}{% endblock %}", "more than a mail"),
        ("{% block subject %}{{ data.absent }}{% endblock %}", "failed in line 3 (UndefinedError)"),
    ],
)
def test_whatever_is_wrong_with_a_template_the_mail_goes(tmp_path: Path, text: str, why: str) -> None:
    mail = Renderer(LAYOUT).render(event(data={"big": "x" * 2_000_000}), "shop", templates(tmp_path, order=text))
    assert mail.template == "table"
    assert mail.failed
    assert mail.failed.startswith("The template order.html.j2 ")
    assert why in mail.failed
    assert len(mail.html.encode()) < LARGEST


def test_a_file_of_parts_is_no_mail(tmp_path: Path) -> None:
    (tmp_path / "helper.html.j2").write_text("{% macro m() %}{% endmacro %}")
    mail = Renderer(LAYOUT).render(event(type="helper"), "shop", tmp_path)
    assert (mail.template, mail.failed) == ("table", "The template helper.html.j2 does not extend mail.html.j2.")


def test_a_name_in_the_data_is_the_data_and_never_a_method(tmp_path: Path) -> None:
    data = {"items": [1, 2], "keys": "k", "update": {"get": "g"}}
    mail = rendered(tmp_path, "{{ data.items }}|{{ data.keys }}|{{ data.update.get }}|{{ data['items'][1] }}", data)
    assert "1, 2|k|g|2" in mail.html


@pytest.mark.parametrize("name", ["items", "keys", "update", "get", "pop"])
def test_a_name_that_the_sender_left_out_is_missing_and_never_a_method(tmp_path: Path, name: str) -> None:
    for call in (f"data.{name}", f"data['{name}']", f"data.inner.{name}"):
        place = templates(tmp_path, order=f"{{% block body %}}{{{{ {call} }}}}{{% endblock %}}")
        mail = Renderer(LAYOUT).render(event(data={"inner": {}}), "shop", place)
        assert (mail.template, "UndefinedError" in (mail.failed or "")) == ("table", True)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("at('a.b')", "found"), ("at('a.absent')", ""), ("at('a.absent', 'else')", "else"),
        ("at('null', 'else')", "else"), ("at('false', 'else')", "no"),
        ("at(\"join(', ', absent[].name)\", 'else')", "else"), ("at('list[?n > `1`].n')", "2, 3"),
        ("at_in(at('list')[0], 'n')", "1"), ("at_in(none, 'n', 0)", "0"),
    ],
)  # fmt: skip
def test_paths_find_what_there_is(tmp_path: Path, expression: str, expected: str) -> None:
    data = {"a": {"b": "found"}, "null": None, "false": False, "list": [{"n": 1}, {"n": 2}, {"n": 3}]}
    assert f">[{expected}]<" in rendered(tmp_path, f"<p>[{{{{ {expression} }}}}]</p>", data).html


def test_facts_leave_out_what_is_not_there_and_keep_what_is_zero(tmp_path: Path) -> None:
    rows = '[("A", none), ("B", ""), ("C", 0), ("D", false), ("E", link("t", "https://example.com")), ("F", "x\ny")]'
    text = text_of(rendered(tmp_path, f"{{{{ facts({rows}) }}}}").html)
    assert "C: 0\nD: no\nE: t <https://example.com>\nF: x\ny\n" in text
    assert "A:" not in text
    assert "B:" not in text
    empty = rendered(tmp_path, '{{ facts([("A", none)]) }}{{ facts([]) }}').html
    assert 'class="facts"' not in empty


def test_parts_leave_nothing_behind_where_there_is_nothing(tmp_path: Path) -> None:
    nothing = "{{ paragraph(x) }}{{ quote(x) }}{{ code(x) }}{{ heading(x) }}{{ bullets([x]) }}{{ buttons([('a', x)]) }}"
    for value in ("none", "''"):
        html = rendered(tmp_path, f"{{% set x = {value} %}}<i>{nothing}{{{{ bullets(none) }}}}</i>").html
        assert re.search(r"<i>\s*</i>", html)


def test_parts_say_what_they_leave_out(tmp_path: Path) -> None:
    data = {"many": list(range(1_000)), "long": "x" * 30_000}
    text = text_of(rendered(tmp_path, "{{ bullets(data.many) }}{{ code(data.long) }}", data).html)
    assert "- and 900 more" in text
    assert "(10,000 more characters)" in text
    pairs = (
        "{% set ns = namespace(rows=[]) %}{% for n in data.many %}{% set ns.rows = ns.rows + [(n, n)] %}{% endfor %}"
    )
    assert "and 800 more:" in text_of(rendered(tmp_path, pairs + "{{ facts(ns.rows) }}", data).html)


def test_buttons_go_to_web_addresses_only(tmp_path: Path) -> None:
    call = "{{ buttons([('Good', 'https://example.com/?a&b'), ('Bad', 'javascript:alert(1)'), ('Gone', none)]) }}"
    html = rendered(tmp_path, call).html
    assert '<a href="https://example.com/?a&amp;b"' in html
    assert "javascript" not in html
    assert "Bad" in html
    assert "Gone" not in html


def test_controls_are_shown_and_what_is_no_character_is_replaced(tmp_path: Path) -> None:
    html = rendered(tmp_path, "{{ code(data.x) }}", {"x": "\x1b[31m\x00\ud800\uffff ok"}).html
    assert "␛[31m␀\ufffd\ufffd ok" in html


def test_a_mail_says_why_its_reader_gets_it(tmp_path: Path) -> None:
    text = text_of(rendered(tmp_path, "").html)
    assert (
        "You get this because you are a recipient of the route shop. To change that, ask whoever runs Mailroom" in text
    )
    assert text.endswith("The event is of 22 Nov 2026, 10:00 UTC.")
    look = Look(brand="Contoso Alerts", mailbox="alerts@contoso.com", zone=ZoneInfo("Europe/Berlin"))
    text = text_of(Renderer(LAYOUT).render(event(), "shop", None, look=look).html)
    assert (
        "the route shop, which sends from alerts@contoso.com. To change that, ask whoever runs Contoso Alerts." in text
    )
    assert text.endswith("The event is of 22 Nov 2026, 11:00 CET (10:00 UTC).")


def test_events_are_left_as_they_are(tmp_path: Path) -> None:
    given: Any = event(data={"a": [1]}, subject="s" * 5000)
    Renderer(LAYOUT).render(given, "shop", tmp_path)
    assert given == event(data={"a": [1]}, subject="s" * 5000)


@pytest.mark.parametrize(("value", "number"), [(1, True), (0.5, True), (True, False), (False, False), ("1", False)])
def test_true_and_false_are_no_numbers(value: object, *, number: bool) -> None:
    sandbox = TemplateSandbox(LAYOUT, [])
    assert bool(sandbox.from_string("{% if value is number %}yes{% endif %}").render(value=value)) is number
