"""The timer that keeps ledger and payloads in order, and says what waits."""

from datetime import UTC, datetime

import azure.functions as func

from shared.deadline import within
from shared.services import services
from shared.triggers.queues import ALL

__all__ = ["blueprint"]

TIME_FOR_A_RUN = 240.0  # seconds; the next run, of other partitions, comes after 300

blueprint = func.Blueprint()


@blueprint.timer_trigger(schedule="0 */5 * * * *", arg_name="timer", run_on_startup=False)
async def upkeep(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger's parameter
    app = services()
    app.report_problems()  # said again and again, so that the alert stays on
    if app.settings.problems:
        return
    from shared.delivery.backlog import measure
    from shared.delivery.upkeep import partitions_of_run

    await app.report_routes()
    async with within(TIME_FOR_A_RUN):
        await measure(app.storage.queues, ALL, datetime.now(UTC))
        for marker in app.storage.markers:
            await marker.report()
        partitions = partitions_of_run(datetime.now(UTC))
        # First what takes little: a ledger that needs the whole time must not keep yesterday's signed bodies for ever.
        await app.storage.signed_bodies().forget(partitions, datetime.now(UTC))
        await app.upkeep.run(partitions)
