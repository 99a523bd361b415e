"""What Mailroom has logged."""

import json
from typing import Any

import pytest


def said(caplog: pytest.LogCaptureFixture, event: str = "") -> list[dict[str, Any]]:
    """Its events in their order, or those of this name."""
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "mailroom"]
    return [line for line in lines if event in ("", line["event"])]
