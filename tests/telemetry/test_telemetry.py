"""What Mailroom says, and that nobody else says anything beside it."""

import json
import logging

import pytest

from shared.telemetry import QUIET, LogEvent, emit


def test_an_event_is_one_line_of_json_without_what_is_not_known(caplog: pytest.LogCaptureFixture) -> None:
    emit(LogEvent.MAIL_FAILED, id="1", status=400, code=None)
    (record,) = caplog.records
    assert json.loads(record.getMessage()) == {"event": "mail.failed", "id": "1", "status": 400}
    assert record.getMessage().startswith('{"event":"')  # what the queries of alerts look for
    assert (record.name, record.levelno) == ("mailroom", logging.ERROR)


@pytest.mark.parametrize(
    "name", [*QUIET, "azure.core.pipeline.policies.http_logging_policy", "azure.identity.aio", "msal.token_cache"]
)
def test_sdks_say_nothing_below_a_warning(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Although Azure's worker has the root logger at INFO."""
    caplog.set_level(logging.INFO)
    assert not logging.getLogger(name).isEnabledFor(logging.INFO)
    assert logging.getLogger(name).isEnabledFor(logging.WARNING)
