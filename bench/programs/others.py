"""Sends mails with what others have made, each mail once, as a program does that follows their documentation.

Asked by a line of JSON on standard input: `how` is "apprise" or "o365"; `run` names the mails, `count` of them,
`warm` before. Answers with one: `cpu` and `wall` in seconds of the counted mails, and `failed`: how many the library
said it could not send.

Apprise and O365 have Microsoft's hosts in their code. Not a line of them is changed: beneath them the adapter of
requests, through which both send everything, takes what goes to these hosts to the emulator.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

type Send = Callable[[str], bool]

SENDER, TO = os.environ["SENDER"], "fannyd@contoso.onmicrosoft.com"
TENANT, CLIENT = os.environ["TENANT"], os.environ["CLIENT"]
TEXT, SECRET = "The new cafeteria is open.", "not-asked-for"
HOSTS = {"graph.microsoft.com", "login.microsoftonline.com"}


def to_the_emulator() -> None:
    from requests.adapters import HTTPAdapter

    emulator, send = urlsplit(os.environ["GRAPH_BASE_URL"]), HTTPAdapter.send

    def redirected(self: Any, request: Any, *args: Any, **options: Any) -> Any:
        url = urlsplit(request.url)
        if url.hostname in HOSTS:
            request.url = url._replace(scheme=emulator.scheme, netloc=emulator.netloc).geturl()
        answer = send(self, request, *args, **options)
        if url.path.endswith("/openid-configuration"):  # MSAL takes only https for where tokens are
            root = f"{emulator.scheme}://{emulator.netloc}".encode()
            answer._content = answer.content.replace(root, b"https://login.microsoftonline.com")  # noqa: SLF001 - as above
        return answer

    HTTPAdapter.send = redirected  # type: ignore[method-assign] # what this is about


def apprise() -> Send:
    from apprise import Apprise  # type: ignore[import-not-found] # in an environment of its own

    to_the_emulator()
    service = Apprise()
    if not service.add(f"azure://{SENDER}/{TENANT}/{CLIENT}/{SECRET}/{TO}/?format=text"):
        raise SystemExit("Apprise does not take its own URL.")
    return lambda subject: bool(service.notify(body=TEXT, title=subject))


def o365() -> Send:
    from O365 import Account  # type: ignore[import-not-found] # in an environment of its own
    from O365.utils.token import MemoryTokenBackend  # type: ignore[import-not-found] # the same

    to_the_emulator()
    account = Account(
        (CLIENT, SECRET), auth_flow_type="credentials", tenant_id=TENANT, token_backend=MemoryTokenBackend()
    )
    if not account.authenticate():
        raise SystemExit("O365 got no token.")

    def send(subject: str) -> bool:
        message = account.new_message(resource=SENDER)
        message.to.add(TO)
        message.subject, message.body = subject, TEXT
        return bool(message.send())

    return send


def tried(send: Send, subject: str) -> bool:
    try:
        return send(subject)
    except Exception:  # noqa: BLE001 - whatever it raises: it says that it could not send
        return False


def main() -> None:
    asked = json.loads(sys.stdin.readline())
    send = {"apprise": apprise, "o365": o365}[asked["how"]]()
    for number in range(asked["warm"]):
        tried(send, f"warm {number}")
    wall, cpu = time.perf_counter(), time.process_time()
    sent = [tried(send, f"{asked['run']} {number}") for number in range(asked["count"])]
    found = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "failed": sent.count(False)}
    os.write(OUT, json.dumps(found).encode() + b"\n")
    os._exit(0)


if __name__ == "__main__":
    OUT = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    main()
