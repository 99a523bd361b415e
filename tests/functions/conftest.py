from collections.abc import Callable

import pytest

from shared.app import App
from shared.functions import access, health, queue_functions, send_mail


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[App], App]:
    """Makes an app the one that the functions use."""

    def install(app: App) -> App:
        assert not app.settings.problems
        for module in (access, health, queue_functions, send_mail):
            monkeypatch.setattr(module, "current_app", lambda: app)
        return app

    return install
