"""Sends mails to Graph with nothing around it, in a process of its own: by the SDK, as it is documented, or by httpx.

Asked by a line of JSON on standard input: `how` is "sdk" or "httpx", `count` mails, `at_a_time`, `warm` mails before.
Answers with one on standard output: `cpu` and `wall` in seconds, of the counted mails; with `first`, those from the
start of the program until the first mail was accepted, and `peak`, in MiB.
"""

import time

STARTED = time.perf_counter()

import asyncio  # noqa: E402 - the clock comes first
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Awaitable, Callable  # noqa: E402

from sandbox.loop import chosen, factory  # noqa: E402

type Send = Callable[[int], Awaitable[None]]

SENDER = os.environ["SENDER"]
TEXT = "The new cafeteria is open."
TO, CC = "fannyd@contoso.onmicrosoft.com", "danas@contoso.onmicrosoft.com"
SCOPE = "https://graph.microsoft.com/.default"


def by_sdk() -> Send:
    from azure.identity.aio import ManagedIdentityCredential
    from msgraph.generated.models.body_type import BodyType
    from msgraph.generated.models.email_address import EmailAddress
    from msgraph.generated.models.item_body import ItemBody
    from msgraph.generated.models.message import Message
    from msgraph.generated.models.recipient import Recipient
    from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody
    from msgraph.graph_service_client import GraphServiceClient

    client = GraphServiceClient(ManagedIdentityCredential(), scopes=[SCOPE])
    client.request_adapter.base_url = os.environ["GRAPH_BASE_URL"]

    async def send(number: int) -> None:
        message = Message(
            subject=f"bare {number}",
            body=ItemBody(content=TEXT, content_type=BodyType.Text),
            to_recipients=[Recipient(email_address=EmailAddress(address=TO))],
            cc_recipients=[Recipient(email_address=EmailAddress(address=CC))],
        )
        body = SendMailPostRequestBody(message=message, save_to_sent_items=True)
        await client.users.by_user_id(SENDER).send_mail.post(body)

    return send


def by_httpx() -> Send:
    import httpx
    from azure.identity.aio import ManagedIdentityCredential

    credential, client = ManagedIdentityCredential(), httpx.AsyncClient(timeout=30)

    async def send(number: int) -> None:
        token = await credential.get_token(SCOPE)
        message = {
            "subject": f"bare {number}",
            "body": {"content": TEXT, "contentType": "Text"},
            "toRecipients": [{"emailAddress": {"address": TO}}],
            "ccRecipients": [{"emailAddress": {"address": CC}}],
        }
        answer = await client.post(
            f"{os.environ['GRAPH_BASE_URL']}/users/{SENDER}/sendMail",
            json={"message": message, "saveToSentItems": True},
            headers={"Authorization": f"Bearer {token.token}"},
        )
        answer.raise_for_status()

    return send


async def many(send: Send, count: int, at_a_time: int) -> None:
    numbers = iter(range(count))

    async def one_after_the_other() -> None:
        for number in numbers:
            await send(number)

    await asyncio.gather(*(one_after_the_other() for _ in range(at_a_time)))


async def main() -> None:
    asked = json.loads(sys.stdin.readline())
    send = {"sdk": by_sdk, "httpx": by_httpx}[asked["how"]]()
    await send(0)
    found: dict[str, object] = {"first": {"wall": time.perf_counter() - STARTED, "cpu": time.process_time()}}
    await many(send, asked["warm"], asked["at_a_time"])
    wall, cpu = time.perf_counter(), time.process_time()
    await many(send, asked["count"], asked["at_a_time"])
    found |= {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    from bench.machine import peak

    print(json.dumps({**found, "peak": peak(os.getpid())}), flush=True)
    os._exit(0)


asyncio.run(main(), loop_factory=factory(chosen()))
