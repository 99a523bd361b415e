"""`/api/openapi.json`: the description of the HTTP surface, for tools."""

from functools import cache
from pathlib import Path
from typing import Final

import azure.functions as func

from shared.app import services

__all__ = ["blueprint"]

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "openapi.json"  # deployment/openapi makes it of the code
blueprint = func.Blueprint()


@blueprint.route(route="openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def openapi(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's parameter
    services()  # to have it logged which settings cannot be used, where this is the first that comes
    return func.HttpResponse(
        _document(), status_code=200, mimetype="application/json", headers={"Cache-Control": "public, max-age=3600"}
    )


@cache
def _document() -> bytes:
    return DOCUMENT.read_bytes()
