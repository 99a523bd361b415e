"""Mailroom's functions. Indexing must neither fail nor be slow: see docs/decisions/0002-start-up.md."""

import azure.functions as func

from shared.functions import triggers

app = func.FunctionApp()
app.register_functions(triggers.blueprint)
