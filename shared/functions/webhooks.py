"""Webhooks at `/api/events/{route}`, from any sender. The route's source verifies, reads and answers each request."""

import azure.functions as func

from shared.app import current_app
from shared.functions.http_answers import length_required, problem, settings_refused
from shared.webhooks.sources.source import RawRequest


async def events(req: func.HttpRequest) -> func.HttpResponse:
    app, name = current_app(), req.route_params["route"]
    known = not app.settings.problems and name in app.catalog.routes  # any other name may be anything: not for the log
    if (lost := length_required(req, "events", name if known else None)) is not None:
        return lost
    if app.settings.problems:
        return problem(503, settings_refused(app.settings.problems), {"Retry-After": "60"})
    request = RawRequest(
        body=req.get_body(),
        headers={header.lower(): value for header, value in req.headers.items()},
        query=dict(req.params),
        method=req.method or "POST",
    )
    reply = await app.intake.answer(name, request)
    if reply.detail:
        return problem(reply.status, reply.detail, reply.headers)
    headers = dict(reply.headers)
    return func.HttpResponse(
        reply.body, status_code=reply.status, headers=headers, mimetype=headers.pop("Content-Type", "application/json")
    )
