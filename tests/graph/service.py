"""A stand-in for Graph and for the managed-identity endpoint: one real server on loopback that answers by script."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "Request", "Service"]


@dataclass(frozen=True)
class Answer:
    """One answer. cut: bytes of it that are sent before the connection breaks; None for all."""

    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    cut: int | None = None

    def encode(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Said", f"Content-Length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True)
class Request:
    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Service:
    """What Graph and the identity endpoint will answer next (202 and a token when nothing is said), and what came."""

    answers: list[Answer] = field(default_factory=list)
    identity_answers: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    identity_requests: list[Request] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once Graph has a request."""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1.0"

    def say(self, status: int, **rest: Any) -> None:
        """Let Graph's next unscripted answer be this one."""
        self.answers.append(Answer(status, **rest))

    def say_identity(self, status: int, **rest: Any) -> None:
        """Let the identity endpoint's next unscripted answer be this one."""
        self.identity_answers.append(Answer(status, **rest))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *rest = head.decode().rstrip("\r\n").split("\r\n")
                headers = {name.lower(): value for name, value in (text.split(": ", 1) for text in rest)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                answer = self._next(Request(line, headers, body))
                await asyncio.sleep(answer.delay)
                writer.write(answer.encode()[: answer.cut])
                await writer.drain()
                if answer.cut is not None:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _next(self, request: Request) -> Answer:
        if request.line.startswith("GET /identity"):
            self.identity_requests.append(request)
            return self.identity_answers.pop(0) if self.identity_answers else token_answer(len(self.identity_requests))
        self.requests.append(request)
        self.asked.set()
        return self.answers.pop(0) if self.answers else Answer()


def token_answer(number: int) -> Answer:
    """What App Service's endpoint answers."""
    token = {
        "access_token": f"token-{number}",
        "expires_on": str(int(time.time()) + 86400),
        "resource": "https://graph.microsoft.com",
        "token_type": "Bearer",
    }
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(token).encode())
