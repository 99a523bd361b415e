"""Events, templates and a renderer for these tests."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from shared.webhooks.rendering.mails import Rendered, Renderer
from shared.webhooks.sources.source import SourceEvent

LAYOUT: Final = Path(__file__).parents[3] / "shared" / "webhooks" / "routes" / "_layout"
RENDERER: Final = Renderer(LAYOUT)
HEAD: Final = """{% extends "mail.html.j2" %}
{% from "parts.html.j2" import facts, buttons, quote, code, paragraph, bullets, heading, link, table %}
"""


def event(**given: Any) -> SourceEvent:
    time = datetime(2026, 11, 22, 10, tzinfo=UTC)
    plain = SourceEvent(id="e-1", source="https://shop.example.com", type="order.paid", key="e-1", data={}, time=time)
    return replace(plain, **given)


def templates(folder: Path, **texts: str) -> Path:
    """A folder with these templates, `order_paid` as `order.paid.html.j2`; all extend the mail, with its parts."""
    for name, text in texts.items():
        (folder / f"{name.replace('_', '.')}.html.j2").write_text(HEAD + text, "utf-8")
    return folder


def rendered(folder: Path, body: str, data: Any = None, **given: Any) -> Rendered:
    """The mail of an event by a template with this body. It must not have failed."""
    place = templates(folder, order="{% block body %}" + body + "{% endblock %}")
    mail = Renderer(LAYOUT).render(event(data=data, **given), "shop", place)
    assert mail.failed is None
    return mail
