"""The smallest app there is, with sendMail's route: what Azure's worker library and the sandbox's host cost alone."""

import azure.functions as func

app = func.FunctionApp()


@app.route(route="v1.0/users/{id}/sendMail", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def nothing(req: func.HttpRequest) -> func.HttpResponse:
    req.get_body()
    return func.HttpResponse(b"", status_code=202)
