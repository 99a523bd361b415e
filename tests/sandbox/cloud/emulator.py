"""The emulator in process, spoken to as a client would."""

import base64
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.applications import Starlette

from sandbox.cloud.directory import API_CLIENT_ID, CALLER_CLIENT_ID, IDENTITY_CLIENT_ID, TENANT
from sandbox.cloud.state import Cloud
from sandbox.cloud.tokens import app_claims, user_claims

MARKER = "String {2f1b7a5e-8a0c-4c6e-9d7b-0b6c3f7a1d11} Name MailroomId"
BOX = "mailroom@sandbox.example"
MESSAGES = f"users/{BOX}/messages"
DATA = base64.b64encode(b"hello").decode()
FILE = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": DATA}


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Emulator:
    """Requests with a token for Graph; `control` for the control endpoint."""

    app: Starlette
    client: httpx.AsyncClient
    clock: Clock

    @property
    def cloud(self) -> Cloud:
        cloud: Cloud = self.app.state.cloud
        return cloud

    def token(self, user: str | None = None, client_id: str = IDENTITY_CLIENT_ID, **claims: Any) -> str:
        """A token for Graph: the managed identity's, or a user's."""
        audience = "https://graph.microsoft.com"
        made = app_claims(client_id, audience, version="1")
        if user is not None:
            made = user_claims(user, CALLER_CLIENT_ID, audience, version="1", scopes="Mail.Send Mail.Read")
        return self.cloud.issuer.sign(made | claims)

    async def graph(self, method: str, path: str, *, token: str | None = None, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token()}", **more.pop("headers", {})}
        return await self.client.request(method, f"/v1.0/{path}", headers=headers, **more)

    async def send(self, message: Any = None, *, box: str = BOX, **more: Any) -> httpx.Response:
        """Posts to sendMail this message, or one that is fine."""
        body = {"message": mail() if message is None else message} | more.pop("parameters", {})
        return await self.graph("POST", f"users/{box}/sendMail", json=body, **more)

    async def draft(self, **changes: Any) -> dict[str, Any]:
        """Makes a draft of a message that is fine, with changes."""
        answer = await self.graph("POST", MESSAGES, json=mail(**changes))
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def control(self, method: str, name: str, body: Any = None, **params: str) -> Any:
        answer = await self.client.request(method, f"/_control/{name}", json=body or {}, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def accepted(self, **params: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.control("GET", "accepted", **params)
        return found

    async def sent_items(self, box: str = BOX, **params: str) -> list[dict[str, Any]]:
        answer = await self.graph("GET", f"users/{box}/mailFolders/sentitems/messages", params=params)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["value"]
        return found


def recipient(address: str = "ada@example.com", name: str | None = None) -> dict[str, Any]:
    return {"emailAddress": {"address": address} | ({} if name is None else {"name": name})}


def mail(**changes: Any) -> dict[str, Any]:
    """A message that is fine, with changes."""
    message: dict[str, Any] = {
        "subject": "Meet for lunch?",
        "body": {"contentType": "Text", "content": "The new cafeteria is open."},
        "toRecipients": [recipient()],
    }
    return message | changes


def marker(value: str = "m-1") -> dict[str, str]:
    return {"id": MARKER, "value": value}


def error_code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


API_SCOPE = f"api://{API_CLIENT_ID}/.default"
TOKEN_PATH = f"/{TENANT}/oauth2/v2.0/token"
