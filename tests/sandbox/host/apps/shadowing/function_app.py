"""Routes that Azure tries in the order of the functions' names."""

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="messages/{id}")
async def a_message(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.route_params["id"])


@app.route(route="messages/stats")
async def statistics(req: func.HttpRequest) -> func.HttpResponse:
    del req
    return func.HttpResponse("statistics")


@app.route(route="letters/all")
async def all_mails(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.method)


@app.route(route="letters/{id}")
async def outgoing_mail(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.method)
