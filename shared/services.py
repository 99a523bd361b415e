"""What the functions share in one process: the settings, and the clients made from them on first use.

Azure runs all functions of a process on one event loop, so there is one of each. Importing this loads no client: that
keeps indexing short. Whatever opens one first pays for it, and only for what it needs.
"""

import os
import uuid
from dataclasses import replace
from functools import cache, cached_property
from typing import TYPE_CHECKING

import msgspec

from shared.aside import aside
from shared.config import Settings, read
from shared.errors import Malformed, NotAllowed, Unauthenticated
from shared.telemetry import Event, emit

if TYPE_CHECKING:
    from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

    from shared.delivery.attempts import Attempts, StillOurs
    from shared.delivery.control import Control
    from shared.delivery.courier import Courier
    from shared.delivery.direct import DirectRequests
    from shared.delivery.files import Files
    from shared.delivery.hold import Hold
    from shared.delivery.large import LargeMails
    from shared.delivery.ledger import Row
    from shared.delivery.outbox import Outbox
    from shared.delivery.pacing.pacer import Pacer
    from shared.delivery.pinning import Pinning
    from shared.delivery.protocol import Finding
    from shared.delivery.suppressions import Suppressions
    from shared.delivery.upkeep import Upkeep
    from shared.entra import Verifier
    from shared.graph.client import GraphConnection
    from shared.graph.outcome import Outcome
    from shared.letters.letter import Letter
    from shared.rendering.mails import Renderer
    from shared.routing.catalog import Catalog
    from shared.routing.intake import Intake
    from shared.routing.secrets import Secrets
    from shared.sources.source import TokenRule
    from shared.storage import StorageAccount

__all__ = ["Services", "services"]


class Services:
    """Lazily made. Nothing here may be used while `settings.problems` is not empty."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._webhook_verifiers: dict[tuple[str | None, str], Verifier] = {}  # by tenant and audience: they keep keys

    def report_problems(self) -> None:
        """Say which settings cannot be used, and which nothing reads."""
        for problem in self.settings.problems:
            emit(Event.SETTING_REFUSED, setting=problem.setting, expected=problem.expected)
        for problem in self.settings.unused:
            emit(Event.SETTING_UNUSED, setting=problem.setting, expected=problem.expected)

    async def report_routes(self) -> None:
        """Say which routes, or parts of their settings, cannot be used."""
        from shared.routing.status import status_of

        catalog = self.catalog
        if catalog.missing:
            emit(Event.ROUTE_REFUSED, why=catalog.missing)
            return
        for name, problem in (await status_of(catalog, self.intake.composer, self.secrets)).problems.items():
            emit(Event.ROUTE_REFUSED, route=name, why=problem)

    @cached_property
    def verifier(self) -> "Verifier | None":
        """Verifies callers' tokens; None when MAIL_API_TENANT and MAIL_API_CLIENT_ID are not set."""
        from shared.entra import Verifier

        return Verifier(self.settings.api) if self.settings.api else None

    @cached_property
    def storage(self) -> "StorageAccount":
        from shared.storage import StorageAccount

        return StorageAccount(self.settings.storage)

    @cached_property
    def graph(self) -> "GraphConnection":
        from shared.graph.client import open_client

        return open_client(self.settings.graph.base_url, self.settings.identity_client_id)

    @cached_property
    def attempts(self) -> "Attempts":
        from shared.delivery.attempts import Attempts
        from shared.delivery.last_check import LastCheck

        verifier = self._look if self.settings.verify_sent else None
        policy, ledger = LastCheck(self.settings, self.suppressions), self.storage.ledger()
        return Attempts(
            self.settings,
            ledger,
            self.outbox,
            self._send,
            self.pacer,
            policy,
            verifier,
            by_draft=_ByDraft(self),
        )

    @cached_property
    def suppressions(self) -> "Suppressions":
        from shared.delivery.suppressions import Suppressions

        return Suppressions(self.storage.suppressions())

    @cached_property
    def large_mails(self) -> "LargeMails":
        from shared.delivery.large import LargeMails
        from shared.graph.drafts import Drafts
        from shared.graph.upload import Uploader

        box = Drafts(self.graph, self.settings.send_timeout)
        uploader = Uploader(self.settings.graph.host, self.settings.send_timeout)
        return LargeMails(box, uploader, self.files, self._look)

    @cached_property
    def files(self) -> "Files":
        return self.storage.files()

    @cached_property
    def pinning(self) -> "Pinning":
        from shared.delivery.pinning import Pinning

        return Pinning(self.settings, self.files, self.attempts.ledger)

    @cached_property
    def outbox(self) -> "Outbox":
        return self.storage.outbox()

    @cached_property
    def pacer(self) -> "Pacer":
        from shared.delivery.pacing.pacer import Pacer

        settings = self.settings
        store = self.storage.pacing()
        return Pacer(
            store,
            rate_per_minute=settings.rate_per_minute,
            concurrency=settings.concurrency,
            recipients_per_day=settings.recipients_per_day,
        )

    @cached_property
    def control(self) -> "Control":
        from shared.delivery.control import Control

        return Control(self.attempts)

    @cached_property
    def upkeep(self) -> "Upkeep":
        from shared.delivery.upkeep import Upkeep

        return Upkeep(self.attempts)

    @cached_property
    def courier(self) -> "Courier":
        from shared.delivery.courier import Courier

        return Courier(self.attempts, self.storage.signed_bodies())

    @cached_property
    def direct(self) -> "DirectRequests":
        from shared.delivery.direct import DirectRequests

        return DirectRequests(self.attempts)

    @cached_property
    def catalog(self) -> "Catalog":
        """The routes. The first who asks says which of them cannot be used."""
        from shared.routing.catalog import load

        found = load(self.settings.routes_dir, self.renderer)
        for name, problem in found.problems.items():
            emit(Event.ROUTE_REFUSED, route=name, why=problem)
        if found.missing:
            emit(Event.ROUTE_REFUSED, why=found.missing)
        return found

    @cached_property
    def secrets(self) -> "Secrets":
        from shared.routing.secrets import Secrets, Vault

        url = self.settings.vault_url
        return Secrets(self.settings, Vault(url, self.settings.identity_client_id).fetch if url else None)

    @cached_property
    def renderer(self) -> "Renderer":
        from shared.rendering.mails import Renderer
        from shared.routing.catalog import BUILT_IN

        return Renderer(BUILT_IN / "_layout")

    @cached_property
    def intake(self) -> "Intake":
        from shared.routing.compose import Composer
        from shared.routing.intake import Intake

        composer = Composer(self.settings, self.renderer)
        return Intake(self.catalog, composer, self.secrets, self._verify_token, self.outbox, self.courier)

    async def _verify_token(self, rule: "TokenRule", authorization: str | None) -> None:
        """Return if an Entra token proves a webhook. Raises Unauthenticated, NotAllowed, KeysUnavailable."""
        from shared.entra import Registration, Verifier, require

        verifier = self._webhook_verifiers.get((rule.tenant, rule.audience))
        if verifier is None:
            tenant = rule.tenant or (self.settings.api.tenant if self.settings.api else None)
            if tenant is None:
                raise Unauthenticated("The route has no tenant, and MAIL_API_TENANT is not set.")
            registration = Registration(tenant, rule.audience.removeprefix("api://"), self.settings.authority)
            verifier = Verifier(registration)
            self._webhook_verifiers[rule.tenant, rule.audience] = verifier
        caller = await verifier.verify(authorization)
        if caller.delegated or caller.application_id not in {app.lower() for app in rule.allowed_apps}:
            raise NotAllowed("The token's application is not among the route's allowed_apps.")
        if rule.app_role is not None:
            require(caller, rule.app_role)

    async def _send(self, letter: "Letter", row: "Row", still_ours: "StillOurs") -> "Outcome":
        from shared.graph.outcome import Rejected
        from shared.graph.send import send_mail
        from shared.letters.letter import Letter, encode

        whole = await self._with_files(letter)
        if not isinstance(whole, Letter):
            return whole
        size = len(encode(whole))
        try:
            body = await aside(size, self._body, whole, row)
        except Malformed as error:  # of an address that policy has put in, or by the rules of a later version
            return Rejected(error.status, error.code, "permanent", str(error))
        return await send_mail(
            self.graph,
            row.mailbox,
            body,
            client_request_id=str(uuid.uuid4()),
            deadline=self.settings.send_timeout,
            still_ours=still_ours,
            size=size,
        )

    def _body(self, letter: "Letter", row: "Row") -> "SendMailPostRequestBody | bytes":
        """What goes to Graph. Raises Malformed where a header of a mail that came as MIME cannot be written."""
        if letter.mime is not None:
            from shared.letters.mime_send import as_sent

            return as_sent(letter, row.mailbox)
        from shared.letters.model import send_mail_body
        from shared.letters.stamp import stamped
        from shared.letters.thread import threaded

        mail = threaded(letter)
        return send_mail_body(msgspec.structs.replace(mail, message=stamped(mail.message, letter.id)))

    async def _with_files(self, letter: "Letter") -> "Letter | Outcome":
        """The letter with every file in it that it names; or what has become of it where one cannot be read."""
        from shared.letters.wire import BlobAttachment

        if not any(isinstance(one, BlobAttachment) for one in letter.mail.message.attachments or ()):
            return letter
        from azure.core.exceptions import AzureError

        from shared.delivery.files import FileGone, filled
        from shared.graph.outcome import NotConnected, Rejected

        try:
            message = await filled(letter.mail.message, self.files)
        except FileGone as gone:
            return Rejected(400, gone.code, "permanent", str(gone))
        except AzureError:
            return NotConnected("storage")
        return replace(letter, mail=msgspec.structs.replace(letter.mail, message=message))

    async def _look(self, row: "Row") -> "Finding":
        from shared.graph.look import MessageId, Stamp, look
        from shared.letters.stamp import STAMP_PROPERTY, message_id

        known = MessageId(message_id(row.id, row.mailbox)) if row.mime else Stamp(STAMP_PROPERTY, row.id)
        return await look(self.graph, row.mailbox, known, self.settings.send_timeout)


class _ByDraft:
    """Large mails, loaded with the first of them: most processes never see one. See attempts.ByDraft."""

    def __init__(self, app: Services) -> None:
        self._app = app

    async def send(self, letter: "Letter", hold: "Hold") -> "Outcome":
        return await self._app.large_mails.send(letter, hold)

    async def look(self, row: "Row") -> "Finding":
        return await self._app.large_mails.look(row)

    async def discard(self, row: "Row") -> None:
        await self._app.large_mails.discard(row)


@cache
def services() -> Services:
    """The one of this process. The first call says which settings cannot be used.

    That is within an invocation, never at indexing: what is logged outside of one, Azure drops.
    """
    app = Services(read(os.environ))
    app.report_problems()
    return app
