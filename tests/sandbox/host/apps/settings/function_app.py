"""Functions that need settings."""

import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="MAIL_STORAGE")
async def one(msg: func.QueueMessage) -> None:
    msg.get_body()


@app.timer_trigger(arg_name="timer", schedule="%SCHEDULE%")
async def two(timer: func.TimerRequest) -> None:
    del timer
