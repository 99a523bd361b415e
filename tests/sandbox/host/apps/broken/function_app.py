"""An app that does not import."""

import azure.functions as func
import no_such_module  # type: ignore[import-not-found] # the mistake that the test is about

app = func.FunctionApp()


@app.route(route="hello")
async def hello(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(no_such_module.greet(req))
