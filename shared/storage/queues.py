"""A client for the part of Azure Queue Storage's REST API that Mailroom needs. storage_service.py says why.

https://learn.microsoft.com/rest/api/storageservices/queue-service-rest-api
"""

import re
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit
from xml.sax.saxutils import escape

from azure.core.exceptions import DecodeError
from azure.core.rest import HttpRequest

from shared.storage.storage_service import StorageService

XML: Final = {"Content-Type": "application/xml"}
COUNT: Final = "x-ms-approximate-messages-count"
# The most that one request shows. Messages come back after a failure at other times than they were put, so the first
# one need not be the oldest.
SHOWN: Final = 32
# The service writes each of these without attributes, and their values need no escape.
ID, RECEIPT = re.compile(rb"<MessageId>([^<]+)<"), re.compile(rb"<PopReceipt>([^<]+)<")
INSERTED: Final = re.compile(rb"<InsertionTime>([^<]+)<")


class PutMessage(NamedTuple):
    """What names a message until somebody has received it."""

    id: str
    pop_receipt: str


class Queues(StorageService):
    """The queues of one account. Every method of its queues raises azure-core's AzureError; see StorageService."""

    KIND = "queue"

    def get_queue_client(self, name: str) -> "Queue":
        return Queue(self, name)

    @staticmethod
    def signed(request: HttpRequest, account: str) -> tuple[str, str]:
        url, headers = urlsplit(request.url), request.headers
        length = headers.get("Content-Length", "0")
        size = "" if length == "0" else length
        lines = [request.method, "", "", size, "", headers.get("Content-Type", ""), *[""] * 6]  # "": not sent
        lines += sorted(f"{name.lower()}:{value}" for name, value in headers.items() if name.startswith("x-ms-"))
        lines += [f"/{account}{url.path}", *sorted(f"{name}:{value}" for name, value in parse_qsl(url.query))]
        return "SharedKey", "\n".join(lines)


class Queue:
    """One queue. What is missing raises ResourceNotFoundError."""

    def __init__(self, queues: Queues, name: str) -> None:
        self._queues = queues
        self._name = name

    async def create_queue(self) -> None:
        """Nothing changes where it is there."""
        await self._queues.send("PUT", self._name, {})

    async def send_message(self, text: str, *, visibility_timeout: int, time_to_live: int) -> PutMessage:
        """Put a message that hides for so many seconds. time_to_live: in seconds; -1 for ever."""
        asked = urlencode({"visibilitytimeout": visibility_timeout, "messagettl": time_to_live})
        content = f"<QueueMessage><MessageText>{escape(text)}</MessageText></QueueMessage>".encode()
        answer = await self._queues.send("POST", f"{self._name}/messages?{asked}", XML, content)
        name, receipt = ID.search(answer.content), RECEIPT.search(answer.content)
        if name is None or receipt is None:
            raise DecodeError("Queue Storage does not say which message it has put.", response=answer)
        return PutMessage(name[1].decode(), receipt[1].decode())

    async def update_message(self, message: str, pop_receipt: str, *, visibility_timeout: int) -> PutMessage:
        """Hide it for so many seconds from now; its text stays."""
        asked = {"popreceipt": pop_receipt, "visibilitytimeout": str(visibility_timeout)}
        answer = await self._queues.send("PUT", f"{self._path(message)}?{urlencode(asked, quote_via=quote)}", {})
        return PutMessage(message, answer.headers["x-ms-popreceipt"])

    async def delete_message(self, message: str, pop_receipt: str) -> None:
        asked = urlencode({"popreceipt": pop_receipt}, quote_via=quote)
        await self._queues.send("DELETE", f"{self._path(message)}?{asked}", {})

    async def count(self) -> int:
        """About how many messages it holds, those that hide included."""
        answer = await self._queues.send("GET", f"{self._name}?comp=metadata", {})
        return int(answer.headers[COUNT])

    async def oldest(self) -> datetime | None:
        """When the oldest was put of those at the front that could be taken now. Nothing is taken."""
        answer = await self._queues.send("GET", f"{self._name}/messages?peekonly=true&numofmessages={SHOWN}", {})
        return min((parsedate_to_datetime(at.decode()) for at in INSERTED.findall(answer.content)), default=None)

    def _path(self, message: str) -> str:
        return f"{self._name}/messages/{quote(message, safe='')}"
