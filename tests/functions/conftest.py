from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from shared.app import App
from shared.functions import access, health, queue_functions, send_mail
from shared.settings.config import read
from tests.delivery.samples import SENDER, Office
from tests.functions.samples import equip


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[App], App]:
    """Makes an app the one that the functions use."""

    def install(app: App) -> App:
        assert not app.settings.problems
        for module in (access, health, queue_functions, send_mail):
            monkeypatch.setattr(module, "current_app", lambda: app)
        return app

    return install


@pytest.fixture
def office() -> Office:
    """Storage in memory; its clock stands."""
    office = Office(read({"AzureWebJobsStorage": "UseDevelopmentStorage=true", "MAIL_ALLOWED_SENDERS": SENDER}))
    office.clock.at = datetime.now(UTC).replace(microsecond=0)
    return office


@pytest.fixture
def app(install: Callable[[App], App], office: Office) -> App:
    """Mailroom with all its settings on this office."""
    app = App(office.settings)
    equip(app, office)
    return install(app)
