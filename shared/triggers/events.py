"""Webhooks: `/api/events/{route}`, whoever sends them. The route's source verifies, reads and answers."""

import azure.functions as func

from shared.services import services
from shared.triggers.answers import problem, settings_refused

__all__ = ["blueprint"]

blueprint = func.Blueprint()


@blueprint.route(
    route="events/{route}", methods=["GET", "HEAD", "OPTIONS", "POST"], auth_level=func.AuthLevel.ANONYMOUS
)
async def events(req: func.HttpRequest) -> func.HttpResponse:
    if req.method in ("GET", "HEAD"):  # a probe: that this is there, and nothing of what is behind it
        return func.HttpResponse(b"", status_code=200, headers={"Cache-Control": "no-store"})
    app = services()
    if app.settings.problems:
        return problem(503, settings_refused(app.settings.problems), {"Retry-After": "60"})
    from shared.sources.source import RawRequest

    name = req.route_params["route"]
    request = RawRequest(
        body=req.get_body(),
        headers={header.lower(): value for header, value in req.headers.items()},
        query=dict(req.params),
        method=req.method or "POST",
    )
    intake = app.intake
    reply = intake.preflight(name, request) if req.method == "OPTIONS" else await intake.receive(name, request)
    if reply.detail:
        return problem(reply.status, reply.detail, reply.headers)
    headers = dict(reply.headers)
    return func.HttpResponse(
        reply.body, status_code=reply.status, headers=headers, mimetype=headers.pop("Content-Type", "application/json")
    )
