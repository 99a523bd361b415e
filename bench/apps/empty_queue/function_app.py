"""One queue function that does nothing with its messages: what a message costs the sandbox's host."""

import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="message", queue_name="bench-empty", connection="AzureWebJobsStorage")
async def nothing(message: func.QueueMessage) -> None:
    message.get_body()
