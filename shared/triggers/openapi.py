"""`/api/openapi.json`: the description of the HTTP surface, for tools."""

from functools import cache

import azure.functions as func

__all__ = ["blueprint"]

blueprint = func.Blueprint()


@blueprint.route(route="openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def openapi(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's parameter
    return func.HttpResponse(
        _document(), status_code=200, mimetype="application/json", headers={"Cache-Control": "public, max-age=3600"}
    )


@cache
def _document() -> bytes:
    from shared.openapi.document import text

    return text().encode()
