"""What is wrong with a template is found when its route is loaded, with file and line."""

from pathlib import Path

import pytest

from shared.webhooks.rendering.mails import Renderer
from tests.webhooks.rendering.samples import LAYOUT, templates


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("{% block body %}\n{{ wrong", 4, "unexpected"),
        ("{% block body %}", 3, "block"),
        ("\n{{ 1|absent }}", 4, "There is no filter absent."),
        ("{{ data is absent }}", 3, "There is no test absent."),
        ("{% block body %}\n{{ data|safe }}{% endblock %}", 4, "'safe'"),
        ("\n{{ absent }}", 4, "There is no absent here"),
        ("\n{{ event.sbject or 'x' }}", 4, "An event has no sbject; it has id, source, type"),
        ("{% block body %}{{ fcats([]) }}{% endblock %}", 3, "There is no fcats here"),
        ("\n{% include 'absent.html.j2' %}", 4, "There is no template absent.html.j2."),
        ("{% from 'parts.html.j2' import absent %}", 3, "parts.html.j2 has no absent."),
        ("\n{{ at('a[') }}", 4, "'a[': no JMESPath"),
        ("{{ at_in(data, 'lenght(@)') }}", 3, "JMESPath has no function lenght()"),
        ("{{ at('a[?nope(b)].c') }}", 3, "JMESPath has no function nope()"),
        ("{{ text_at('a', 'b[') }}", 3, "'b[': no JMESPath"),
        ("{{ text_in(data, 'a', 'nope(@)') }}", 3, "JMESPath has no function nope()"),
        ("{{ list_at('a[') }}{{ object_in(data, 'b') }}", 3, "'a[': no JMESPath"),
        ("{% autoescape false %}{{ data }}{% endautoescape %}", 3, "Escaping cannot be turned off"),
        ("{% set tone = 'bad' %}", 3, "Found 'bad'; tone is one of critical, warning, ok, info, neutral."),
        ("{% set importance = 'urgent' %}", 3, "Found 'urgent'; importance is one of low, normal, high."),
        ("{{ at('a[?b == \"c\"]') }}", 3, "in JMESPath \"c\" is a name; the value is 'c'"),
        ("{% block content %}{% endblock %}", 3, "There is no block content; a mail has body, preheader, subject"),
        ("{% block body %}{% endblock %}\n{{ facts([]) }}", 4, "This stands outside the blocks"),
        ("{% block body %}{{ facts('a', 1) }}{% endblock %}", 3, "Expected facts(rows)."),
        ("{% block body %}{{ facts(items=[]) }}{% endblock %}", 3, "Expected facts(rows)."),
        ("{% block body %}\n{{ at('a')|money }}{% endblock %}", 4, "Expected money(currency)."),
        ("{% block body %}{{ at('a')|since(1, 2) }}{% endblock %}", 3, "Expected since(begin)."),
    ],
)
def test_a_fault_is_found_where_it_stands(tmp_path: Path, text: str, line: int, what: str) -> None:
    problems = Renderer(LAYOUT).check(templates(tmp_path, order=text))
    assert [(problem.file, problem.line) for problem in problems] == [(tmp_path / "order.html.j2", line)]
    assert what in problems[0].text
    assert str(problems[0]).startswith(f"{tmp_path}/order.html.j2:{line}: ")


@pytest.mark.parametrize(
    "text",
    [
        "{% block subject %}{{ event.type }} {{ route }}{% endblock %}",
        "{% set x = at('a') %}{% block body %}{{ x }}{{ facts([]) }}{{ link(1, 2) }}{{ self.title() }}{% endblock %}",
        "{% block body %}{% for a in data %}{{ loop.index }}{{ a }}{% endfor %}{% endblock %}",
        "{% block body %}{% set ns = namespace(x=1) %}{% set ns.x = 2 %}{{ ns.x }}{{ range(3) }}{% endblock %}",
        "{% macro m(a, b=1) %}{{ a }}{{ b }}{{ varargs }}{% endmacro %}{% block body %}{{ m(1, 2, 3) }}{% endblock %}",
        "{% block body %}{{ at('a')|shorten(length=3) }}{{ facts(rows=[]) }}{{ [1]|join(', ') }}{% endblock %}",
        "{% block body %}{% block inner %}{{ facts(*data) }}{% endblock %}{% endblock %}\n{# outside #}",
        "{% if data %}{% set y = 1 %}{% endif %}{% block body %}{{ y|default(2) }}{{ z|default(3) }}{% endblock %}",
        "{% block body %}{{ super() }}{{ at(data.path) }}{{ at(\"a[?b == 'nope()']\") }}{% endblock %}",
    ],
)
def test_what_is_right_is_not_complained_about(tmp_path: Path, text: str) -> None:
    assert Renderer(LAYOUT).check(templates(tmp_path, order=text)) == []


def test_templates_may_extend_each_other(tmp_path: Path) -> None:
    templates(tmp_path, order="{% set shared = 1 %}{% block body %}{% endblock %}")
    (tmp_path / "paid.html.j2").write_text("{% extends 'order.html.j2' %}{% block body %}{{ shared }}{% endblock %}")
    (tmp_path / "round.html.j2").write_text("{% extends 'round.html.j2' %}{{ shared }}")
    assert [str(problem.file.name) for problem in Renderer(LAYOUT).check(tmp_path)] == ["round.html.j2"]


def test_a_template_that_is_no_mail_is_named_unless_it_says_so(tmp_path: Path) -> None:
    for name in ("order", "_parts"):
        (tmp_path / f"{name}.html.j2").write_text("{% macro one() %}{% endmacro %}")
    (problem,) = Renderer(LAYOUT).check(tmp_path)
    assert str(problem).startswith(f"{tmp_path}/order.html.j2:1: A mail extends mail.html.j2; ")


def test_names_that_all_routes_share_and_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mail.html.j2").write_text("")
    (tmp_path / "bad.html.j2").write_bytes(b"\xff")
    problems = [str(problem) for problem in Renderer(LAYOUT).check(tmp_path)]
    assert problems == [
        f"{tmp_path}/bad.html.j2:1: It cannot be read (UnicodeDecodeError).",
        f"{tmp_path}/mail.html.j2:1: All routes share the template mail.html.j2; choose another name.",
    ]


def test_a_folder_that_is_not_there_has_no_problems(tmp_path: Path) -> None:
    assert Renderer(LAYOUT).check(tmp_path / "absent") == []
    assert Renderer(LAYOUT).check([]) == []


def test_the_subject_of_a_route_is_checked_too() -> None:
    renderer = Renderer(LAYOUT)
    assert renderer.check_subject("[{{ route }}] {{ at('a.b', '') }}") is None
    assert "absent" in (renderer.check_subject("{{ absent }}") or "")
    assert "JMESPath" in (renderer.check_subject("{{ at('[') }}") or "")
    assert renderer.check_subject("{{ wrong") is not None
