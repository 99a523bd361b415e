"""What Mailroom must not do: says in its log, or in its answer, what the mail is about or who may read it."""

import json
import logging

import azure.functions as func

app = func.FunctionApp()


@app.route(route="v1.0/users/{id}/sendMail", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def send_mail(req: func.HttpRequest) -> func.HttpResponse:
    message = req.get_json()["message"]
    if message["subject"].startswith("Logged"):
        logging.getLogger("leaky").info(json.dumps({"about": message["subject"]}))
    if message["subject"].startswith("Requested"):
        logging.getLogger("azure.core").info("Authorization: %s", req.headers["authorization"])
    said = message["toRecipients"][0]["emailAddress"]["address"] if message["subject"].startswith("Answered") else ""
    return func.HttpResponse(said, status_code=400)
