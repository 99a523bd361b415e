"""Timer functions that leave a trace in FILE."""

import asyncio
import json
import os
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def _trace(line: str) -> None:
    with Path(os.environ["FILE"]).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def _state(timer: func.TimerRequest) -> str:
    return json.dumps(timer.to_dict())


@app.timer_trigger(arg_name="timer", schedule="* * * * * *")
async def every_second(timer: func.TimerRequest) -> None:
    _trace(f"second {_state(timer)}")


@app.timer_trigger(arg_name="timer", schedule="00:00:00.5")
async def overlong(timer: func.TimerRequest) -> None:
    """Takes longer than the time between two runs."""
    del timer
    _trace("overlong begins")
    await asyncio.sleep(1.2)
    _trace("overlong ends")


@app.timer_trigger(arg_name="timer", schedule="%YEARLY%", run_on_startup=True)
async def yearly(timer: func.TimerRequest) -> None:
    _trace(f"yearly {_state(timer)}")


@app.route(route="{*path}")
async def everything(req: func.HttpRequest) -> func.HttpResponse:
    """Without a route prefix."""
    return func.HttpResponse(req.route_params.get("path", "nothing"))
