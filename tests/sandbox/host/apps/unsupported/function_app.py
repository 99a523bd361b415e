"""Functions this host does not run."""

import azure.functions as func

app = func.FunctionApp()


@app.blob_trigger(arg_name="blob", path="samples/{name}", connection="AzureWebJobsStorage")
async def picture(blob: func.InputStream) -> None:
    blob.read()


@app.timer_trigger(arg_name="timer", schedule="0 0 * * * *")
@app.event_hub_output(arg_name="$return", event_hub_name="hub", connection="HUB")
async def to_hub(timer: func.TimerRequest) -> str:
    return str(timer.past_due)


@app.timer_trigger(arg_name="timer", schedule="0 0 * * * *")
@app.retry(strategy="fixed_delay", max_retry_count="3", delay_interval="00:00:01")
async def stubborn(timer: func.TimerRequest) -> None:
    del timer


@app.route(route="days/{day:datetime}")
async def day(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.method)


@app.route(route="/slashed")
async def slashed(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.method)


@app.route(route="admin/mine")
async def reserved(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.method)
