"""Mailroom's functions. Indexing must neither fail nor be slow: see docs/decisions/0002-start-up.md."""

import azure.functions as func

from shared.services import services
from shared.triggers import events, health, maintenance, messages, openapi, outbox, send_mail, suppressions

services()  # reads the settings, and says now which of them cannot be used

app = func.FunctionApp()
app.register_functions(send_mail.blueprint)
app.register_functions(events.blueprint)
app.register_functions(outbox.blueprint)
app.register_functions(messages.blueprint)
app.register_functions(suppressions.blueprint)
app.register_functions(maintenance.blueprint)
app.register_functions(health.blueprint)
app.register_functions(openapi.blueprint)
