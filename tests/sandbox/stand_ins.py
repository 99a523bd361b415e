"""Stand-ins for the parts of the sandbox, as small as the supervisor lets them be, and the supervisor that runs them.

    stand_ins.py supervisor OPTIONS…              the supervisor; $STAND_INS says which program each part is
    stand_ins.py storage|mail|graph|host OPTIONS…

$STAND_IN_BEHAVIOUR, `PART=BEHAVIOUR`, makes one part `die` at start, stay `silent` for ever, or be `deaf` to SIGTERM.
Each part leaves what it was given in $STAND_IN_NOTES/PART.json, and appends its name to `order` when it ends.
"""

import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path


def main(name: str, arguments: list[str]) -> None:
    notes = Path(os.environ["STAND_IN_NOTES"])
    given = {"arguments": arguments, "environment": dict(os.environ), "pid": os.getpid(), "parent": os.getppid()}
    (notes / f"{name}.json").write_text(json.dumps(given))

    def end(*_: object) -> None:
        with (notes / "order").open("a") as order:
            order.write(f"{name}\n")
        os._exit(0)

    behaviour = dict([os.environ.get("STAND_IN_BEHAVIOUR", "=").split("=")]).get(name)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "deaf" else end)
    sys.stderr.write(f"{name} speaks its mind\n")
    sys.stderr.flush()
    if behaviour == "die":
        sys.exit(3)
    if behaviour != "silent":
        {"storage": storage, "mail": mail, "graph": graph, "host": host}[name](arguments)
    while True:
        signal.pause()


def storage(arguments: list[str]) -> None:
    for service in ("blob", "queue", "table"):
        port = arguments[arguments.index(f"--{service}Port") + 1]
        say(f"Azurite {service.title()} service is successfully listening at http://127.0.0.1:{port}")


def mail(arguments: list[str]) -> None:
    for option, answer in (("--smtp", b"220 hello\r\n"), ("--web", b"HTTP/1.1 200 OK\r\n\r\n")):
        listener = socket.create_server(("127.0.0.1", int(arguments[arguments.index(option) + 1])))
        threading.Thread(target=_answer, args=(listener, answer), daemon=True).start()


def _answer(listener: socket.socket, answer: bytes) -> None:
    while True:
        connection, _ = listener.accept()
        if answer.startswith(b"HTTP/"):
            connection.recv(65_536)  # closed with the question unread, a connection is reset
        connection.sendall(answer)
        connection.close()


def graph(_: list[str]) -> None:
    here = "http://127.0.0.1:1"
    facts = {"graph": f"{here}/v1.0", "identity": f"{here}/identity", "identity_header": "header", "authority": here}
    facts |= {"token": f"{here}/token", "jwks": f"{here}/jwks", "control": f"{here}/control", "pid": str(os.getpid())}
    facts |= {"tenant": "11111111-1111-1111-1111-111111111111", "api_client_id": "22222222-2222-2222-2222-222222222222"}
    facts |= {"caller_client_id": "33333333-3333-3333-3333-333333333333", "sender": "mailroom@sandbox.example"}
    facts |= {"sender_oid": "44444444-4444-4444-4444-444444444444"}
    say(json.dumps(facts))


def host(arguments: list[str]) -> None:
    scheme = "https" if "--tls" in arguments else "http"
    port = arguments[arguments.index("--port") + 1]
    facts = {"url": f"{scheme}://127.0.0.1:{port}", "keys": {"default": "d", "master": "m"}, "functions": ["sendMail"]}
    if error := os.environ.get("STAND_IN_ERROR"):
        facts["error"] = error
    say("an app that prints while it is imported")
    say(json.dumps(facts | {"pid": os.getpid()}))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def supervisor() -> int:
    import asyncio

    from sandbox.options import parse
    from sandbox.supervisor import supervise

    commands = {name: tuple(words) for name, words in json.loads(os.environ["STAND_INS"]).items()}
    return asyncio.run(supervise(parse(sys.argv[2:]), commands))


if __name__ == "__main__":
    if sys.argv[1] == "supervisor":
        sys.exit(supervisor())
    main(sys.argv[1], sys.argv[2:])
