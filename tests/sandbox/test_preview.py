"""The preview shows what the app would send, and writes down what examples become."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sandbox.preview import main

TEMPLATE = """{% extends "mail.html.j2" %}
{% block subject %}Order {{ data.data.number }} <paid>{% endblock %}
{% block body %}<p>Thank you, {{ data.data.name }}.</p>{% endblock %}
"""


@pytest.fixture
def routes(tmp_path: Path) -> Path:
    """A folder with one route, `shop`, whose order.paid has a template and order.draft is filtered out."""
    folder = tmp_path / "routes" / "shop"
    (folder / "templates").mkdir(parents=True)
    (folder / "examples").mkdir()
    text = 'source = "standard-webhooks"\nwhen = "type != \'order.draft\'"\nimportance = "high"\n'
    (folder / "route.toml").write_text(text)
    (folder / "templates" / "order.paid.html.j2").write_text(TEMPLATE)
    for kind in ("paid", "draft"):
        _write(folder, kind, {"type": f"order.{kind}", "data": {"number": 7, "name": "Ada & Bob"}})
    return folder.parent


def _write(folder: Path, name: str, body: Any) -> None:
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "1795341600"}
    (folder / "examples" / f"{name}.json").write_text(json.dumps({"headers": headers, "body": body}))


def _run(routes: Path, out: Path, *arguments: str) -> int:
    return main(["--routes", str(routes), "--route", "shop", "--out", str(out), *arguments])


def test_one_example_is_a_file_of_html_and_the_json_for_graph(
    routes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(routes, tmp_path / "out", "--event", "paid") == 0
    body = json.loads(capsys.readouterr().out)
    message = body["Message"]
    assert message["subject"] == "Order 7 <paid>"
    assert message["toRecipients"] == [{"emailAddress": {"address": "ops@example.com"}}]
    assert message["importance"] == "high"
    assert body["SaveToSentItems"] is True
    assert any(header["name"] == "x-mailroom-id" for header in message["internetMessageHeaders"])
    html = (tmp_path / "out" / "shop-paid.html").read_text()
    assert message["body"] == {"contentType": "html", "content": html}
    assert "Ada &amp; Bob" in html


def test_a_page_lists_all_mails_and_shows_each_in_frames_without_scripts(
    routes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["--routes", str(routes), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out / "index.html")
    page = (out / "index.html").read_text()
    (listed,) = re.findall(r"^const mails = (\[.*\])$", page, re.MULTILINE)
    draft, paid = json.loads(listed)
    assert (draft["route"], draft["example"], draft["Subject"]) == ("shop", "draft", "Filtered: no mail")
    assert (paid["Subject"], paid["Importance"], paid["Failed"]) == ("Order 7 <paid>", "high", "")
    assert "Thank you, Ada &amp; Bob." in (out / paid["file"]).read_text()
    assert "<" not in listed, "no subject ends the script"
    assert 'sandbox: ""' in page


def test_write_puts_the_expected_mail_beside_each_example(routes: Path, tmp_path: Path) -> None:
    assert _run(routes, tmp_path / "out", "--write") == 0
    examples = routes / "shop" / "examples"
    assert (examples / "draft.txt").read_text() == "Filtered\n"
    head, _, text = (examples / "paid.txt").read_text().partition("\n\n")
    assert head == "Subject: Order 7 <paid>\nPreheader: Thank you, Ada & Bob.\nTo: ops@example.com\nImportance: high"
    assert text.startswith("Order 7 <paid>\n\nThank you, Ada & Bob.\n")


def test_the_same_example_is_the_same_mail_at_any_time(routes: Path, tmp_path: Path) -> None:
    file = routes / "shop" / "examples" / "paid.txt"
    texts = set()
    for _ in range(2):
        _run(routes, tmp_path / "out", "--write")
        texts.add(file.read_text())
    assert len(texts) == 1


def test_what_is_wrong_with_a_route_or_an_example_is_said(
    routes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = routes / "shop" / "templates" / "order.paid.html.j2"
    template.write_text(TEMPLATE.replace("data.data.name", "data.absent"))
    (routes / "shop" / "examples" / "broken.json").write_text("[]")
    (routes / "shop" / "templates" / "other.html.j2").write_text("{{ wrong")
    assert _run(routes, tmp_path / "out") == 1
    problems = capsys.readouterr().err
    assert f"error: {template}:3: The template order.paid.html.j2 failed in line 3 (UndefinedError). " in problems
    assert "'absent' (example paid)" in problems
    assert f"error: {routes}/shop/examples/broken.json:1: expected " in problems
    assert f"error: {routes}/shop/templates/other.html.j2:1: " in problems


def test_an_example_that_there_is_not_is_looked_for_in_the_folder_of_ones_own_routes(
    routes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(routes, tmp_path / "out", "--event", "sold") == 2
    assert f"expected {routes}/shop/examples/sold.json" in capsys.readouterr().err
    assert main(["--routes", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 2
    assert f"{tmp_path}/nowhere is no folder" in capsys.readouterr().err
