"""The routes together."""

from pathlib import Path

from shared.webhooks.rendering.mails import Renderer
from shared.webhooks.routing.catalog import BUILT_IN, load
from shared.webhooks.sources.source import SOURCES


def route(root: Path, name: str, text: str = 'source = "key"') -> None:
    (root / name).mkdir(parents=True)
    (root / name / "route.toml").write_text(text)


def test_every_route_that_comes_with_mailroom_can_be_used() -> None:
    """Of their templates, tests/sandbox/test_route_checks.py."""
    catalog = load()
    assert not catalog.problems
    assert catalog.missing is None
    assert {route.source.name for route in catalog.routes.values()} >= set(SOURCES) - {"hmac"}  # it needs its options


def test_a_route_of_ones_own_is_added_or_takes_the_place_of_a_ready_one(tmp_path: Path) -> None:
    route(tmp_path, "shop")
    route(tmp_path, "github", 'source = "github"\nsender = "builds@contoso.com"')
    catalog = load(tmp_path)
    assert "shop" in catalog.routes
    assert catalog.routes["github"].sender == "builds@contoso.com"
    assert "stripe" in catalog.routes


def test_a_route_that_cannot_be_read_disables_only_itself(tmp_path: Path) -> None:
    route(tmp_path, "shop", "source =")
    route(tmp_path, "other")
    route(tmp_path, "github", "source =")
    catalog = load(tmp_path)
    assert set(catalog.problems) == {"shop", "github"}
    assert "other" in catalog.routes
    assert "github" not in catalog.routes, "the ready one does not take its place"


def test_the_addresses_that_stand_in_routes_are_known_unless_a_route_cannot_be_read(tmp_path: Path) -> None:
    text = """
        source = "key"
        sender = "a@contoso.com"
        recipients = ["b@contoso.com"]
        recipients_from = "data.to"
        allow = ["c@contoso.com", "*@fabrikam.com"]
        [events."x.*"]
        cc = ["d@contoso.com"]
        bcc = ["e@contoso.com"]
        reply_to = ["f@contoso.com"]
    """
    route(tmp_path, "shop", text)
    found = load(tmp_path).addresses()
    assert found is not None
    assert found >= {f"{letter}@contoso.com" for letter in "abcdef"}
    route(tmp_path, "broken", "source =")
    assert load(tmp_path).addresses() is None
    assert load(tmp_path / "gone").addresses() is None


def test_a_wrong_template_of_an_own_route_is_named_with_file_and_line(tmp_path: Path) -> None:
    route(tmp_path, "shop")
    (tmp_path / "shop" / "templates").mkdir()
    (tmp_path / "shop" / "templates" / "order.html.j2").write_text("fine\n{% if %}")
    catalog = load(tmp_path, Renderer(BUILT_IN / "_layout"))
    assert "shop" not in catalog.routes
    assert "order.html.j2:2: " in catalog.problems["shop"]
    route(tmp_path, "market", 'source = "key"\nsubject = "{{ order"')
    assert "market/route.toml:2: subject: " in load(tmp_path, Renderer(BUILT_IN / "_layout")).problems["market"]


def test_a_template_that_there_is_not_is_named_before_an_event_comes(tmp_path: Path) -> None:
    renderer = Renderer(BUILT_IN / "_layout")
    for name, template, there in (
        ("a", "order", False),
        ("b", "push", True),
        ("c", "mine.html.j2", True),
        ("d", "table", True),
    ):
        route(tmp_path, name, f'source = "github"\n[events."push"]\ntemplate = "{template}"')
        (tmp_path / name / "templates").mkdir()
        (tmp_path / name / "templates" / "mine.html.j2").write_text(
            '{% extends "mail.html.j2" %}{% block subject %}a{% endblock %}'
        )
        catalog = load(tmp_path, renderer)
        assert (name in catalog.routes) is there, catalog.problems
        expected = f"{name}/route.toml:3: events.push.template: there is no template order in {tmp_path / name}"
        assert there or expected in catalog.problems[name]


def test_two_routes_that_would_share_a_secret_are_both_refused(tmp_path: Path) -> None:
    route(tmp_path, "my-shop")
    route(tmp_path, "my_shop")
    catalog = load(tmp_path)
    assert set(catalog.problems) == {"my-shop", "my_shop"}
    assert "MAIL_SECRET_MY_SHOP" in catalog.problems["my-shop"]


def test_a_folder_of_routes_that_is_not_there_stops_them_all(tmp_path: Path) -> None:
    """Going on would send by the routes that it was to replace."""
    catalog = load(tmp_path / "nowhere")
    assert not catalog.routes
    assert "MAIL_ROUTES_DIR" in (catalog.missing or "")


def test_a_route_file_outside_of_a_folder_of_its_own_is_reported_and_stops_no_route(tmp_path: Path) -> None:
    """MAIL_ROUTES_DIR is then the folder of one route, not that of all."""
    route(tmp_path, "shop")
    (tmp_path / "route.toml").write_text('source = "key"')
    catalog = load(tmp_path)
    assert "shop" in catalog.routes
    assert catalog.problems.keys() == {"MAIL_ROUTES_DIR"}
    assert str(tmp_path / "route.toml") in catalog.problems["MAIL_ROUTES_DIR"]


def test_hidden_empty_and_layout_folders_are_no_routes(tmp_path: Path) -> None:
    route(tmp_path, ".git")
    route(tmp_path, "_layout")
    (tmp_path / "empty").mkdir()
    assert load(tmp_path).problems == {}
