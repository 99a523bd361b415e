"""Serves `/api/openapi.json`, the machine-readable description of the HTTP API."""

from functools import cache
from pathlib import Path
from typing import Final

import azure.functions as func

from shared.app import current_app

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "openapi.json"  # deployment/openapi generates it


async def openapi(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's parameter
    current_app()  # logs the settings that cannot be used, when this is the first request
    return func.HttpResponse(
        _document(), status_code=200, mimetype="application/json", headers={"Cache-Control": "public, max-age=3600"}
    )


@cache
def _document() -> bytes:
    return DOCUMENT.read_bytes()
