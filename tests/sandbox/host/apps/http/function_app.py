"""HTTP functions that say what they were given, or misbehave in some way."""

import asyncio
import base64
import json
import sys
import threading

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
_three = asyncio.Barrier(3)
_two_threads = threading.Barrier(2, timeout=10)


def _seen(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    seen = {
        "function": context.function_name,
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers.items()),
        "params": dict(req.params),
        "route": dict(req.route_params),
        "body": base64.b64encode(req.get_body()).decode(),
        "invocation": context.invocation_id,
        "traceparent": context.trace_context.trace_parent,
        "tracestate": context.trace_context.trace_state,
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json", headers={"X-Seen": "yes"})


@app.route(route="echo")
async def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _seen(req, context)


@app.route()
async def Unrouted(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:  # noqa: N802 (its route is its name)
    return _seen(req, context)


@app.route(route="users/{id}/sendMail", methods=["POST"])
async def user_mail(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _seen(req, context)


@app.route(route="users/me/sendMail", methods=["POST"])
async def me_mail(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _seen(req, context)


@app.route(route="items/{id:int}")
async def item(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _seen(req, context)


@app.route(route="opt/{name?}")
async def opt(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _seen(req, context)


@app.route(route="files/{*rest}", methods=["GET", "HEAD"])
async def files(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _seen(req, context)


@app.route(route="keyed", auth_level=func.AuthLevel.FUNCTION)
async def keyed(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _seen(req, context)


@app.route(route="mastered", auth_level=func.AuthLevel.ADMIN)
async def mastered(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _seen(req, context)


@app.route(route="switched-off")
async def switched_off(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _seen(req, context)


@app.route(route="made")
async def made(req: func.HttpRequest) -> func.HttpResponse:
    """The response the query asks for."""
    headers = {"X-Name": req.params["header"]} if "header" in req.params else {}
    status = int(req.params.get("status", "200"))
    return func.HttpResponse(b"\x00\xff", status_code=status, headers=headers, mimetype="image/png")


@app.route(route="text")
async def text(req: func.HttpRequest) -> str:
    del req
    print("printed by a function")
    return "plain, für alle"


@app.route(route="raises")
async def raises(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError(f"spilled {len(req.get_body())} bytes")


@app.route(route="leaves")
async def leaves(req: func.HttpRequest) -> func.HttpResponse:
    """Tries to take the host with it."""
    if "cancelled" in req.params:
        raise asyncio.CancelledError
    sys.exit(3)


@app.route(route="three")
async def three(req: func.HttpRequest) -> func.HttpResponse:
    """Answers when three are here."""
    del req
    async with asyncio.timeout(10):
        await _three.wait()
    return func.HttpResponse("three")


@app.route(route="two")
def two(req: func.HttpRequest) -> func.HttpResponse:
    """Answers when two threads are here."""
    del req
    print("two begins")
    _two_threads.wait()
    return func.HttpResponse("two")


@app.route(route="slow")
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    print("slow begins")
    await asyncio.sleep(float(req.params["seconds"]))
    return func.HttpResponse("slept")
