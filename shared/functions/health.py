"""The health checks: liveness for everybody, readiness for operators."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import azure.functions as func

from shared.app import App, current_app
from shared.event_loop import within
from shared.functions.http_answers import NO_STORE, json_answer
from shared.functions.triggers import QUEUES

PATIENCE: Final = 8.0  # seconds for each dependency to answer
LOST: Final = {
    "mailledger": "The table mailledger was deleted after {seen} and made anew: keys used before may be "
    "forgotten, and a mail that was repeated under one may have been sent twice.",
    "mailsuppressed": "The table mailsuppressed was deleted after {seen} and made anew: addresses that were "
    "on the list are mailed until they are added again.",
}


async def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's parameter
    """Liveness, independent of settings and dependencies, because a restart would not repair those."""
    current_app()  # logs the settings that cannot be used, when this is the first request
    return json_answer(200, {"status": "pass"}, NO_STORE)


async def health_ready(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001
    """Readiness: every wrong setting by name, and the state of each dependency. 200 or 503.

    `degraded` is 200: everything works, but something was lost before that needs an operator.
    """
    app = current_app()
    checks: dict[str, dict[str, object]] = {"settings": {"status": "pass"}}
    wrong = (*app.settings.problems, *app.settings.unused)
    if wrong:
        problems = [
            {"setting": problem.setting, "found": problem.found, "expected": problem.expected} for problem in wrong
        ]
        checks["settings"] = {"status": "fail", "problems": problems}
    if not app.settings.problems:
        asked = {"storage": _storage(app), "tables": _tables(app), "identity": _identity(app), "callers": _callers(app)}
        results = await asyncio.gather(*map(_asked, asked.values()))
        checks |= dict(zip(asked, results, strict=True))
        if checks["tables"]["status"] == "warn":
            checks["tables"]["status"] = "degraded"
        checks["routes"] = await _routes(app)
    found = {check["status"] for check in checks.values()}
    status = next((worst for worst in ("fail", "degraded") if worst in found), "pass")
    body = {"status": status, "checks": checks}
    return json_answer(503 if status == "fail" else 200, body, NO_STORE)


async def _asked(question: Awaitable[str | None]) -> dict[str, object]:
    try:
        async with within(PATIENCE):
            note = await question
    except Exception as error:  # noqa: BLE001 - any failure is the answer
        return {"status": "fail", "error": type(error).__name__}
    return {"status": "pass"} if note is None else {"status": "warn", "note": note}


async def _storage(app: App) -> None:
    """Reads each queue, a blob and a row: the identity's roles allow that, and nothing of the service itself.

    A queue may be missing: it is made on its first use.
    """
    from azure.core.exceptions import ResourceNotFoundError

    async def ask(queue: str) -> None:
        with suppress(ResourceNotFoundError):
            await app.storage.queues.get_queue_client(queue).count()

    await asyncio.gather(*map(ask, QUEUES), *(identity.reach() for identity in app.table_identities))


async def _tables(app: App) -> str | None:
    """Whether a table was deleted and created again while its old rows would still be needed."""
    from shared.storage.table_identity import text

    kept, notes = timedelta(days=app.settings.retention_days), []
    for identity in app.table_identities:
        replaced = await identity.check()
        if replaced is not None and replaced.concerns(datetime.now(UTC), kept):
            notes.append(LOST[replaced.table].format(seen=text(replaced.seen)))
    return " ".join(notes) or None


async def _identity(app: App) -> None:
    """Fetches a token for Graph. Whether Graph lets it send shows only when a mail is sent."""
    await app.graph.ensure_token()


async def _routes(app: App) -> dict[str, object]:
    """The routes that are on, those that are off, and those that cannot be used, with the reason."""
    from shared.webhooks.routing.route_status import status_of

    catalog = app.catalog
    if catalog.missing:
        return {"status": "fail", "error": catalog.missing}
    status = await status_of(catalog, app.intake.mails.composer, app.secrets)
    verdict = "fail" if status.problems else "warn" if status.notes else "pass"
    facts: dict[str, object] = {"status": verdict, "on": status.on, "off": dict.fromkeys(status.off, "no secret")}
    more = {"problems": status.problems, "notes": status.notes}
    return facts | {name: value for name, value in more.items() if value}


async def _callers(app: App) -> str | None:
    if app.verifier is None:
        return "MAIL_API_TENANT and MAIL_API_CLIENT_ID are not set: sendMail over HTTP answers 401"
    if not app.settings.callers:
        return "MAIL_CALLERS is not set: no caller may send over HTTP"
    await app.verifier.ready()
    return None
