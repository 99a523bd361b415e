"""Events, routes and settings for these tests."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.settings.config import Settings, read
from shared.webhooks.routing.route import Route
from shared.webhooks.routing.route_file import read_route
from shared.webhooks.sources.source import SourceEvent

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
MINIMAL = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "MAIL_SENDER": "mailroom@contoso.com",
    "MAIL_TO": "ops@contoso.com",
}


def event(**given: Any) -> SourceEvent:
    plain = SourceEvent(id="1", source="/tests", type="order.paid", key="1", data={"total": 12}, time=NOW)
    return replace(plain, **given)


def settings(**environ: str) -> Settings:
    found = read({**MINIMAL, **environ})
    assert not found.problems
    return found


def route(folder: Path, text: str = "", name: str = "shop", source: str = "key") -> Route:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "route.toml").write_text(f'source = "{source}"\n{text}', "utf-8")
    return read_route(name, folder / name)
