"""Says where and how it was imported."""

import asyncio
import json
import os
import sys
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
IMPORTED = {
    "directory": str(Path.cwd()),
    "path": list(sys.path),
    "setting": os.environ.get("A_SETTING"),
    "placeholder": "WEBSITE_PLACEHOLDER_MODE" in os.environ,
}


@app.route(route="imported")
async def imported(req: func.HttpRequest) -> str:
    del req
    now = {"directory_now": str(Path.cwd()), "loop": type(asyncio.get_running_loop()).__module__}
    return json.dumps({**IMPORTED, **now, "app": str(Path(__file__).parent)})
