"""Mailroom's functions. Indexing must neither fail nor be slow: see docs/decisions/0002-start-up.md."""

import azure.functions as func

from shared.functions import health, index, maintenance, openapi, webhooks

app = func.FunctionApp()
app.register_functions(index.blueprint)
app.register_functions(webhooks.blueprint)
app.register_functions(maintenance.blueprint)
app.register_functions(health.blueprint)
app.register_functions(openapi.blueprint)
