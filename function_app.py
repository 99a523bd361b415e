"""Mailroom's functions. Indexing must neither fail nor be slow: see docs/decisions/0002-start-up.md."""

import azure.functions as func

from shared.triggers import events, functions, health, maintenance, openapi

app = func.FunctionApp()
app.register_functions(functions.blueprint)
app.register_functions(events.blueprint)
app.register_functions(maintenance.blueprint)
app.register_functions(health.blueprint)
app.register_functions(openapi.blueprint)
