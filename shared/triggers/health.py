"""Health: whether this process lives, and for its operator whether it can do its work."""

import asyncio
from collections.abc import Awaitable
from typing import Final

import azure.functions as func

from shared.deadline import within
from shared.services import Services, services
from shared.triggers.answers import json_answer

__all__ = ["blueprint"]

PATIENCE: Final = 8.0  # seconds for each dependency to answer

blueprint = func.Blueprint()


@blueprint.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's parameter
    """Liveness. Answers nothing of settings and dependencies: a restart would not mend them."""
    services()  # to have it logged which settings cannot be used, where this is the first that comes
    return json_answer(200, {"status": "pass"}, {"Cache-Control": "no-store"})


@blueprint.route(route="health/ready", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def health_ready(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001
    """Readiness: every setting that is wrong by name, and each dependency asked. 200 or 503."""
    app = services()
    checks: dict[str, dict[str, object]] = {"settings": {"status": "pass"}}
    wrong = (*app.settings.problems, *app.settings.unused)
    if wrong:
        problems = [
            {"setting": problem.setting, "found": problem.found, "expected": problem.expected} for problem in wrong
        ]
        checks["settings"] = {"status": "fail", "problems": problems}
    if not app.settings.problems:
        names = ("storage", "identity", "callers")
        results = await asyncio.gather(*map(_asked, (_storage(app), _identity(app), _callers(app))))
        checks |= dict(zip(names, results, strict=True))
        checks["routes"] = await _routes(app)
    ready = all(check["status"] != "fail" for check in checks.values())
    body = {"status": "pass" if ready else "fail", "checks": checks}
    return json_answer(200 if ready else 503, body, {"Cache-Control": "no-store"})


async def _asked(question: Awaitable[str | None]) -> dict[str, object]:
    try:
        async with within(PATIENCE):
            note = await question
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return {"status": "fail", "error": type(error).__name__}
    return {"status": "pass"} if note is None else {"status": "warn", "note": note}


async def _storage(app: Services) -> None:
    await app.storage.queues.get_service_properties()


async def _identity(app: Services) -> None:
    """A token for Graph can be had. That it may send is known only by sending."""
    await app.graph.ensure_token()


async def _routes(app: Services) -> dict[str, object]:
    """The routes that are on, those that are off, and those that cannot be used, with the reason."""
    from shared.routing.status import status_of

    catalog = app.catalog
    if catalog.missing:
        return {"status": "fail", "error": catalog.missing}
    status = await status_of(catalog, app.intake.composer, app.secrets)
    facts: dict[str, object] = {"status": "fail" if status.problems else "pass", "on": status.on}
    facts["off"] = dict.fromkeys(status.off, "no secret")
    return {**facts, "problems": status.problems} if status.problems else facts


async def _callers(app: Services) -> str | None:
    if app.verifier is None:
        return "MAIL_API_TENANT and MAIL_API_CLIENT_ID are not set: sendMail over HTTP answers 401"
    if not app.settings.callers:
        return "MAIL_CALLERS is not set: no caller may send over HTTP"
    await app.verifier.ready()
    return None
