"""The timer that keeps ledger and payloads in order, and says what waits."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import azure.functions as func

from shared.app import services
from shared.runtime.deadline import Deadline, within
from shared.storage.queue_names import ALL
from shared.telemetry import LogEvent, emit

__all__ = ["blueprint"]

TIME_FOR_A_RUN: Final = 240.0  # seconds; the next run, of other partitions, comes after 300
TIME_FOR_A_STEP: Final = 30.0  # and for each step but the ledger's

blueprint = func.Blueprint()


@blueprint.timer_trigger(schedule="0 */5 * * * *", arg_name="timer", run_on_startup=False)
async def maintenance(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger's parameter
    app = services()
    app.report_problems()  # said again and again, so that the alert stays on
    if app.settings.problems:
        return
    from shared.delivery.maintenance import measure, partitions_of_run

    now = datetime.now(UTC)
    partitions = partitions_of_run(now)

    async def identities() -> None:
        for identity in app.storage.identities:
            await identity.report()

    # The ledger comes last: it may need the whole time, and then the others must have been.
    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "routes": app.report_routes,
        "queues": lambda: measure(app.storage.queues, ALL, now),
        "tables": identities,
        "signed": lambda: app.storage.signed_bodies().forget(partitions, now),
        "ledger": lambda: app.maintenance.run(partitions),
    }
    await _each(steps, Deadline(TIME_FOR_A_RUN))


async def _each(steps: Mapping[str, Callable[[], Awaitable[object]]], run: Deadline) -> None:
    """Do every step, whatever becomes of the one before; then fail as the first of them that failed."""
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
