"""The timer function: runs maintenance, and logs how much waits and which settings or routes cannot be used."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from azure.core.exceptions import ResourceNotFoundError

from shared.app import App, current_app
from shared.delivery.ledger_figures import Measured
from shared.delivery.maintenance import partitions_of_run
from shared.event_loop import Deadline, within
from shared.functions.triggers import QUEUES
from shared.settings.config import report_problems
from shared.settings.queue_names import RESULTS
from shared.storage.queues import Queue, Queues
from shared.telemetry import LogEvent, emit
from shared.webhooks.routing.catalog import report_unusable
from shared.webhooks.routing.route_status import status_of

TIME_FOR_A_RUN: Final = 240.0  # seconds; the next run, of other partitions, comes after 300
TIME_FOR_A_STEP: Final = 30.0  # and for each step but the ledger's


async def maintenance() -> None:
    app = current_app()
    report_problems(app.settings)  # in every run, so that the alert stays on
    if app.settings.problems:
        return
    now = datetime.now(UTC)
    partitions = partitions_of_run(now)

    async def identities() -> None:
        for identity in app.table_identities:
            await identity.report()

    # The ledger comes last: it may need all the time that is left.
    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "routes": lambda: _report_routes(app),
        "queues": lambda: _measure_all(app, now),
        "tables": identities,
        "signed": lambda: app.signed_bodies.forget(partitions, now),
        "ledger": lambda: app.maintenance.run(partitions),
    }
    await _each(steps, Deadline(TIME_FOR_A_RUN))


async def bounces() -> None:
    """Read the non-delivery reports of all mailboxes. (Maintenance reports invalid settings.)"""
    app = current_app()
    if not app.settings.problems:
        await app.bounces.run(Deadline(TIME_FOR_A_RUN))


async def _report_routes(app: App) -> None:
    """Log which routes, or parts of their settings, cannot be used."""
    catalog = app.catalog
    status = None if catalog.missing else await status_of(catalog, app.intake.mails.composer, app.secrets)
    report_unusable(catalog.missing, status.problems if status else {})


async def _each(steps: Mapping[str, Callable[[], Awaitable[object]]], run: Deadline) -> None:
    """Run all steps, even after one has failed; then raise the first failure."""
    failures: list[Exception] = []
    for name, step in steps.items():
        last = name == list(steps)[-1]
        try:
            async with within(run.left if last else min(TIME_FOR_A_STEP, run.left)):
                await step()
        except Exception as error:  # noqa: BLE001 - one that fails must not keep the others from being done
            emit(LogEvent.MAINTENANCE_FAILED, step=name, code=type(error).__name__)
            failures.append(error)
    if failures:
        raise failures[0]


async def _measure_all(app: App, now: datetime) -> None:
    measured = await measure(app.storage.queues, (*QUEUES, RESULTS), now)
    await app.summary.put_measured(now, measured, await app.pace_rows.blocked(now))


async def measure(queues: Queues, names: Iterable[str], now: datetime) -> list[Measured]:
    """Say of each queue how many messages it holds and how old the oldest is that could be taken now.

    Nothing is taken and nothing hidden. A message that waits for its time is counted, but has no age; nor has one that
    is being worked on. Raises AzureError.
    """
    return await asyncio.gather(*(_measure(queues.get_queue_client(name), name, now) for name in names))


async def _measure(queue: Queue, name: str, now: datetime) -> Measured:
    try:
        count, put = await queue.count(), await queue.oldest()
    except ResourceNotFoundError:  # made on first use, on a laptop
        emit(LogEvent.QUEUE_MEASURED, queue=name, messages=0)
        return Measured(name, 0)
    oldest = max(0.0, round((now - put).total_seconds(), 1)) if put else None
    emit(LogEvent.QUEUE_MEASURED, queue=name, messages=count, oldest=oldest)
    return Measured(name, count, put)
