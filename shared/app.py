"""What the functions share in one process: the settings, and the clients made from them on first use.

Azure runs all functions of a process on one event loop, so there is one of each. Importing this loads no client, which
keeps indexing short: the first use of each loads what it needs.
"""

import os
from functools import cache, cached_property
from typing import TYPE_CHECKING

from shared.settings.config import Settings, read, report_problems

if TYPE_CHECKING:
    from shared.auth.entra import TokenVerifier
    from shared.bounces.collector import BounceCollector
    from shared.delivery.attachment_resolver import AttachmentResolver
    from shared.delivery.cancel_replay_retry import Control
    from shared.delivery.engine import Engine
    from shared.delivery.large import LargeMails
    from shared.delivery.ledger_figures import SummaryTable
    from shared.delivery.mailer import GraphMailer
    from shared.delivery.maintenance import Maintenance
    from shared.delivery.queue import Outbox
    from shared.delivery.request import Requests
    from shared.delivery.worker import Worker
    from shared.graph.client import GraphConnection
    from shared.policy.suppression import SuppressionList
    from shared.ratelimit.rate_limits import RateLimits
    from shared.ratelimit.shared_row import TableStore
    from shared.storage.account import StorageAccount
    from shared.storage.files import Files
    from shared.storage.table_identity import TableIdentity
    from shared.webhooks.rendering.mails import Renderer
    from shared.webhooks.routing.catalog import Catalog
    from shared.webhooks.routing.intake import Intake
    from shared.webhooks.routing.secrets import Secrets
    from shared.webhooks.routing.signed_bodies import SignedBodies


class App:
    """The collaborators, each created on first use. None may be used while `settings.problems` is not empty."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def verifier(self) -> "TokenVerifier | None":
        """Verifies callers' tokens; None when MAIL_API_TENANT and MAIL_API_CLIENT_ID are not set."""
        from shared.auth.entra import TokenVerifier

        return TokenVerifier(self.settings.api) if self.settings.api else None

    @cached_property
    def storage(self) -> "StorageAccount":
        from shared.storage.account import StorageAccount

        return StorageAccount(self.settings.storage)

    @cached_property
    def graph(self) -> "GraphConnection":
        from shared.graph.client import open_client

        return open_client(self.settings.graph.base_url, self.settings.identity_client_id)

    @cached_property
    def mailer(self) -> "GraphMailer":
        from shared.delivery.mailer import GraphMailer

        return GraphMailer(self.settings, self.files, lambda: self.graph, lambda: self.large_mails)

    @cached_property
    def engine(self) -> "Engine":
        from shared.delivery import attention
        from shared.delivery.engine import Engine
        from shared.delivery.ledger import TABLE, Ledger
        from shared.policy.pre_send import PreSendPolicy

        settings, tables = self.settings, self.storage.tables
        index = attention.AttentionIndex(tables.table(attention.TABLE))
        return Engine(
            settings,
            Ledger(tables.table(TABLE), index, self.outbox.put_back),
            self.outbox,
            self.pace,
            PreSendPolicy(settings, self.suppressions),
            self.mailer,
        )

    @cached_property
    def suppressions(self) -> "SuppressionList":
        from shared.policy.suppression import TABLE, SuppressionList, SuppressionTable

        return SuppressionList(SuppressionTable(self.storage.tables.table(TABLE)))

    @cached_property
    def large_mails(self) -> "LargeMails":
        from shared.delivery.large import LargeMails
        from shared.graph.drafts import Drafts
        from shared.graph.upload import Uploader

        box = Drafts(self.graph, self.settings.send_timeout)
        uploader = Uploader(self.settings.graph.host, self.settings.send_timeout)
        return LargeMails(box, uploader, self.files, self.mailer.find)

    @cached_property
    def files(self) -> "Files":
        from shared.storage.files import Files

        return Files(lambda: self.storage.blobs)

    @cached_property
    def attachment_resolver(self) -> "AttachmentResolver":
        from shared.delivery.attachment_resolver import AttachmentResolver

        return AttachmentResolver(self.settings, self.files, self.engine.ledger)

    @cached_property
    def outbox(self) -> "Outbox":
        from shared.delivery.queue import Outbox

        return Outbox(lambda: self.storage.queues, lambda: self.storage.blobs)

    @cached_property
    def pace(self) -> "RateLimits":
        from shared.ratelimit.rate_limits import RateLimits

        settings = self.settings
        return RateLimits(
            self.pace_rows,
            per_minute=settings.rate_per_minute,
            concurrency=settings.concurrency,
            recipients_per_day=settings.recipients_per_day,
            named=settings.bounces,
        )

    @cached_property
    def bounces(self) -> "BounceCollector":
        from shared.bounces.collector import BounceCollector
        from shared.bounces.search_progress import TABLE
        from shared.bounces.suppressor import Suppressor

        settings, table = self.settings, self.storage.tables.table(TABLE)
        routes = lambda: self.catalog.addresses()  # noqa: E731, PLW0108 - loads them when they are needed
        suppressor = Suppressor(settings, self.suppressions, routes)
        return BounceCollector(
            self.engine,
            lambda: self.graph,
            table,
            self.pace_rows.mailboxes,
            suppressor if settings.suppress_bounced else None,
        )

    @cached_property
    def control(self) -> "Control":
        from shared.delivery.cancel_replay_retry import Control

        return Control(self.engine)

    @cached_property
    def maintenance(self) -> "Maintenance":
        from shared.delivery.maintenance import Maintenance

        return Maintenance(self.engine, self.summary)

    @cached_property
    def summary(self) -> "SummaryTable":
        from shared.delivery.ledger_figures import TABLE, SummaryTable

        return SummaryTable(self.storage.tables.table(TABLE))

    @cached_property
    def pace_rows(self) -> "TableStore":
        from shared.ratelimit.shared_row import TABLE, TableStore

        return TableStore(self.storage.tables.table(TABLE))

    @cached_property
    def worker(self) -> "Worker":
        from shared.delivery.worker import Worker

        return Worker(self.engine, self.signed_bodies.earlier)

    @cached_property
    def signed_bodies(self) -> "SignedBodies":
        from shared.webhooks.routing.signed_bodies import TABLE, SignedBodies

        return SignedBodies(self.storage.tables.table(TABLE))

    @cached_property
    def table_identities(self) -> "tuple[TableIdentity, TableIdentity]":
        """The identities of the tables whose loss matters: the ledger and the suppression list.

        The others (rates, quotas of the day, signed bodies of the day) recover by themselves within a day.
        """
        from shared.delivery.ledger import TABLE as LEDGER
        from shared.policy.suppression import TABLE as SUPPRESSED
        from shared.storage.table_identity import TableIdentity

        tables = self.storage.tables
        return (
            TableIdentity(tables.table(LEDGER), lambda: self.storage.blobs),
            TableIdentity(tables.table(SUPPRESSED), lambda: self.storage.blobs),
        )

    @cached_property
    def requests(self) -> "Requests":
        from shared.delivery.request import Requests

        return Requests(self.engine)

    @cached_property
    def catalog(self) -> "Catalog":
        """The routes. Logs which of them cannot be used, when they are loaded."""
        from shared.webhooks.routing.catalog import load, report_unusable

        found = load(self.settings.routes_dir, self.renderer)
        report_unusable(found.missing, found.problems)
        return found

    @cached_property
    def secrets(self) -> "Secrets":
        from shared.webhooks.routing.secrets import Secrets, SecretVault

        url = self.settings.vault_url
        return Secrets(self.settings, SecretVault(url, self.settings.identity_client_id).fetch if url else None)

    @cached_property
    def renderer(self) -> "Renderer":
        from shared.webhooks.rendering.mails import Renderer
        from shared.webhooks.routing.catalog import BUILT_IN

        return Renderer(BUILT_IN / "_layout")

    @cached_property
    def intake(self) -> "Intake":
        from shared.webhooks.routing.at_once import AtOnce
        from shared.webhooks.routing.compose import Composer
        from shared.webhooks.routing.event_mails import EventMails
        from shared.webhooks.routing.intake import Intake
        from shared.webhooks.routing.secrets import WebhookTokens

        composer, worker = Composer(self.settings, self.renderer), self.worker
        tokens = WebhookTokens(self.settings)
        at_once = AtOnce(self.engine, worker) if self.settings.send_at_once else None
        mails = EventMails(composer, self.outbox, worker, at_once)
        return Intake(self.catalog, self.secrets, tokens.verify, mails)


@cache
def current_app() -> App:
    """The App of this process. The first call logs which settings cannot be used.

    The first call is within an invocation, never at indexing, because Azure drops what is logged outside invocations.
    """
    app = App(read(os.environ))
    report_problems(app.settings)
    return app
