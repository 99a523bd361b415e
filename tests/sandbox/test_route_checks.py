"""What can be known about routes before an event comes."""

from pathlib import Path

import pytest

from sandbox.examples import Studio, examples_of
from sandbox.route_checks import faults_of, main, names_of
from sandbox.unreachable import TYPES, matches, types_of
from shared.webhooks.routing.catalog import load

MAIL = '{% extends "mail.html.j2" %}{% block subject %}Order {{ at("n") }}{% endblock %}'
EVENT = '{"body": {"kind": "paid", "n": 7}}'
EXPECTED = "Subject: Order 7\nTo: ops@example.com\n\nOrder 7\n"
TOML = 'source = "key"\n[options]\ntype = "data.kind"\n'


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("TF_BUILD", raising=False)


def route(folder: Path, toml: str = TOML, **files: str) -> Path:
    """A route, `shop`. files: by name, with `__` for a dot and `_in_` for the folder."""
    texts = {"route.toml": toml} | {name.replace("__", ".").replace("_in_", "/"): text for name, text in files.items()}
    for name, text in texts.items():
        (folder / "shop" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "shop" / name).write_text(text)
    return folder


def test_a_route_whose_examples_become_the_mails_beside_them_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = route(tmp_path, templates_in_paid__html__j2=MAIL, examples_in_a__json=EVENT, examples_in_a__txt=EXPECTED)
    assert main(["--routes", str(folder)]) == 0
    assert capsys.readouterr().out == "1 routes: 0 errors, 0 warnings\n"


ERRORS = {
    "a fault of a route": ({"toml": "source = key"}, "/route.toml:1: no TOML"),
    "a fault of a template": ({"templates_in_paid__html__j2": MAIL + "{{"}, "/templates/paid.html.j2:1: "),
    "a fault of a subject": (
        {"toml": TOML.replace("[", "subject = '{{ x }}'\n[", 1)},
        "/route.toml:2: subject: There is",
    ),
    "another mail": (
        {"templates_in_paid__html__j2": MAIL, "examples_in_a__txt": EXPECTED.replace("7", "8", 1)},
        "/examples/a.txt:1: found 'Subject: Order 7'; expected 'Subject: Order 8'",
    ),
    "no mail beside it": ({"templates_in_paid__html__j2": MAIL}, "/examples/a.json:1: There is no a.txt beside it"),
    "a template that fails": (
        {"templates_in_paid__html__j2": MAIL.replace('at("n")', "data.m")},
        "/templates/paid.html.j2:1: The template paid.html.j2 failed in line 1 (UndefinedError). 'dict object' has no",
    ),
    "no example": ({"examples_in_a__json": "{}"}, "/examples/a.json:1: expected {"),
    "no JSON": ({"examples_in_a__json": '{\n"body": {,}}'}, "/examples/a.json:2: no JSON: "),
}


@pytest.mark.parametrize(("files", "expected"), ERRORS.values(), ids=ERRORS)
def test_each_error_names_file_and_line_and_fails_the_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str], expected: str
) -> None:
    folder = route(tmp_path, **({"examples_in_a__json": EVENT} | files))
    assert main(["--routes", str(folder)]) == 1
    assert f"error: {folder}/shop{expected}" in capsys.readouterr().out


UNREACHED = {
    "a rule without types": (
        'source = "key"\n[events."paid"]\nskip = true',
        ":2: events.paid: no event has this type;",
    ),
    "a rule of no type": (
        'source = "grafana"\n[events."grafana.ok"]\nskip = true',
        ':2: events."grafana.ok": no event',
    ),
    "a rule of no event of GitHub": ('source = "github"\n[events."pull-request.*"]\nskip = true', ":2: events."),
    "a rule that another takes": (
        f'{TOML}[events."order.*"]\nskip = true\n[events."order.paid"]\nimportance = "high"',
        ':6: events."order.paid": this has no effect, since [events."order.*"] skips these events',
    ),
    "a template of no type": ('source = "alertmanager"', "No event has this template; its source gives alertmanager, "),
    "a template that is skipped": (f'{TOML}[events."order.paid*"]\nskip = true', 'since [events."order.paid*"] takes'),
    "a template that another replaces": (f'{TOML}[events."order.*"]\ntemplate = "a"', 'since [events."order.*"] takes'),
}


@pytest.mark.parametrize(("toml", "expected"), UNREACHED.values(), ids=UNREACHED)
def test_what_no_event_reaches_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], toml: str, expected: str
) -> None:
    files = {"templates_in_a__html__j2": MAIL, "templates_in_order__paid__html__j2": MAIL}
    main(["--routes", str(route(tmp_path, toml, **files))])
    assert any(line.startswith("warning: ") and expected in line for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    "toml",
    [
        f'{TOML}[events."order.*"]\nskip = true\n[events."order.paid"]\nskip = false',
        f'{TOML}[events."order.*"]\nskip = true\n[events."order.paid.twice"]\nskip = false',
        f'{TOML}template = "order.paid"'.replace('[options]\ntype = "data.kind"\n', ""),
        f'{TOML}[events."order.test"]\nskip = true',
    ],
)
def test_what_an_event_reaches_is_no_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str], toml: str) -> None:
    main(["--routes", str(route(tmp_path, toml, templates_in_order__paid__html__j2=MAIL))])
    assert "warning: " not in capsys.readouterr().out


def test_a_template_in_capitals_is_never_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--routes", str(route(tmp_path, templates_in_Paid__html__j2=MAIL))])
    assert "Paid.html.j2:1: No event has this template; expected paid.html.j2" in capsys.readouterr().out


def test_findings_are_written_as_the_ci_shows_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = route(tmp_path, 'source = "key"\n[events."paid"]\nskip = true')
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    main(["--routes", str(folder)])
    place = f"{folder}/shop/route.toml"
    assert capsys.readouterr().out.startswith(f"::warning file={place},line=2::events.paid: no event has this type")
    monkeypatch.delenv("GITHUB_ACTIONS")
    monkeypatch.setenv("TF_BUILD", "True")
    main(["--routes", str(folder)])
    begin = f"##vso[task.logissue type=warning;sourcepath={place};linenumber=2]events.paid: "
    assert capsys.readouterr().out.startswith(begin)


def test_a_folder_that_there_is_not_is_no_success(tmp_path: Path) -> None:
    assert main(["--routes", str(tmp_path / "nowhere")]) == 2


def test_the_ready_routes_have_no_faults() -> None:
    catalog = load()
    assert list(faults_of(catalog, Studio(), names_of(catalog, None))) == []


def test_every_event_of_an_example_has_a_type_of_its_source() -> None:
    """Otherwise a rule for it would be called unreachable."""
    seen = set()
    for route_, example in examples_of(load()):
        types = types_of(route_.source)
        for event in route_.source.events(example.request()) if types else ():
            seen.add(route_.source.name)
            assert any(matches(kind, event.type) or event.type.startswith(kind[:-1]) for kind in types or ()), (
                event.type
            )
    assert seen >= TYPES.keys()
