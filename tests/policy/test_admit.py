from dataclasses import replace
from typing import Any

import pytest

from shared.errors import NotAllowed
from shared.mail.attached_items import Contact, Event
from shared.mail.graph_types import EmailAddress
from shared.mail.model import ItemAttachment, Message, SendMail
from shared.mail.outgoing import Origin, OutgoingMail
from shared.policy.admit import admit
from shared.settings.address_patterns import Patterns
from shared.settings.caller_rules import CallerRule
from shared.settings.config import Settings
from tests.mail import samples
from tests.mail.samples import person

APPLICATION = "11111111-aaaa-4bbb-8ccc-dddddddddddd"
USER = "22222222-aaaa-4bbb-8ccc-dddddddddddd"
SHOP = "shop@contoso.test"
APP = Origin(kind="application", name=APPLICATION, tenant="t")
DELEGATED = Origin(kind="user", name=APPLICATION, tenant="t", user=USER)
QUEUE = Origin(kind="queue", name="mail-outbox")
ROUTE = Origin(kind="route", name="github")


def rules(senders: str, caller: str | None = None, caller_to: str | None = None, to: str = "*") -> Settings:
    callers = {}
    if caller is not None:
        caller_recipients = None if caller_to is None else Patterns.parse(caller_to)
        callers = {APPLICATION: CallerRule(Patterns.parse(caller), caller_recipients)}
    return Settings(callers=callers, allowed_senders=Patterns.parse(senders), allowed_recipients=Patterns.parse(to))


def queue_rules(senders: str, recipients: str) -> Settings:
    """Everything is allowed but what MAIL_CALLERS says of the queue."""
    rule = CallerRule(Patterns.parse(senders), Patterns.parse(recipients))
    return Settings(callers={"mail-outbox": rule}, allowed_senders=Patterns.parse("*"))


def outgoing(origin: Origin, mailbox: str = SHOP, **message: Any) -> OutgoingMail:
    whole: dict[str, Any] = {"to_recipients": (person("adele@fabrikam.test"),)} | message
    return samples.outgoing(SendMail(message=Message(**whole)), sender=mailbox, origin=origin)


EVIL = person("x@evil.example")
HR = "hr@contoso.test"
ALLOWED = {
    "an application with a rule": (outgoing(APP), rules("*@contoso.test", caller=SHOP)),
    "an application in capitals": (
        outgoing(replace(APP, name=APPLICATION.upper()), SHOP.upper()), rules(SHOP, caller=SHOP),
    ),
    "an application as a mailbox by its id": (outgoing(APP, USER.upper()), rules(USER, caller=USER)),
    "an application that names its mailbox in from": (outgoing(APP, from_=person(SHOP)), rules(SHOP, caller=SHOP)),
    "an application to recipients of its own": (outgoing(APP), rules(SHOP, caller=SHOP, caller_to="*@fabrikam.test")),
    "a user as itself": (outgoing(DELEGATED, USER.upper()), rules(USER, caller=USER)),
    "a queue, which has no rule of its own": (outgoing(QUEUE), rules(SHOP)),
    "a queue that MAIL_CALLERS names": (outgoing(QUEUE), queue_rules(SHOP, "*@fabrikam.test")),
    "a route, which has none either": (outgoing(ROUTE), rules("*@contoso.test")),
    "replies to anywhere": (outgoing(QUEUE, reply_to=(EVIL,)), rules(SHOP, to="*@fabrikam.test")),
    "attached items about anyone": (
        outgoing(QUEUE, attachments=(
            ItemAttachment(name="m", item=Message(to_recipients=(EVIL,), from_=EVIL)),
            ItemAttachment(name="e", item=Event(organizer=EVIL)),
            ItemAttachment(name="c", item=Contact(email_addresses=(EmailAddress(address="x@evil.example"),))),
        )),
        rules(SHOP, to="*@fabrikam.test"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "settings"), ALLOWED.values(), ids=ALLOWED)
def test_a_mail_that_every_rule_allows_is_admitted(given: OutgoingMail, settings: Settings) -> None:
    admit(given, settings)


AS, TO = "ErrorSendAsDenied", "ErrorAccessDenied"
GIVEN, SENDERS, RECIPIENTS = "MAIL_CALLERS", "MAIL_ALLOWED_SENDERS", "MAIL_ALLOWED_RECIPIENTS"
OWN = "only as its user's mailbox"
FROM, SENDER = "$.message.from.emailAddress.address", "$.message.sender.emailAddress.address"
FIRST = "$.message.toRecipients[0].emailAddress.address"

# mail, settings; the code, the rule that is named, the path
DENIED: dict[str, tuple[OutgoingMail, Settings, str, str, str | None]] = {
    "nothing is set": (outgoing(QUEUE), Settings(), AS, SENDERS, None),
    "nothing is set, for an application": (outgoing(APP), Settings(), TO, GIVEN, None),
    "an application that has no rule": (outgoing(APP), rules("*"), TO, GIVEN, None),
    "another application": (outgoing(replace(APP, name=USER)), rules("*", caller="*"), TO, GIVEN, None),
    "an application whose rule has no senders": (outgoing(APP), rules("*", caller=""), AS, GIVEN, None),
    "an application as a mailbox it was not given": (outgoing(APP, HR), rules("*", caller=SHOP), AS, GIVEN, None),
    "an application given more than holds for all": (outgoing(APP), rules("a@b.test", caller="*"), AS, SENDERS, None),
    "an application from a mailbox it was not given": (
        outgoing(APP, from_=person(HR)), rules("*", caller=SHOP), AS, GIVEN, FROM,
    ),
    "a mailbox's id where all addresses are allowed": (outgoing(APP, USER), rules("*", caller="*"), AS, GIVEN, None),
    "an application to a recipient that its rule leaves out": (
        outgoing(APP), rules(SHOP, caller=SHOP, caller_to="*@contoso.test"), TO, GIVEN, FIRST,
    ),
    "an application whose rule has no recipients at all": (
        outgoing(APP), rules(SHOP, caller=SHOP, caller_to=""), TO, GIVEN, FIRST,
    ),
    "an application's recipient that holds for it and not for all": (
        outgoing(APP), rules(SHOP, caller=SHOP, caller_to="*", to="*@contoso.test"), TO, RECIPIENTS, FIRST,
    ),
    "a queue as a mailbox that MAIL_CALLERS does not give it": (outgoing(QUEUE), queue_rules(HR, "*"), AS, GIVEN, None),
    "a queue to a recipient that MAIL_CALLERS does not give it": (
        outgoing(QUEUE), queue_rules(SHOP, "*@contoso.test"), TO, GIVEN, FIRST,
    ),
    "a user as another user": (outgoing(DELEGATED, APPLICATION), rules(APPLICATION, caller=APPLICATION), AS, OWN, None),
    "a user as an address, which no token proves": (outgoing(DELEGATED), rules("*", caller="*"), AS, OWN, None),
    "a user without id": (outgoing(replace(DELEGATED, user=None), USER), rules(USER, caller=USER), AS, OWN, None),
    "a user without an object id": (outgoing(replace(DELEGATED, user=""), ""), rules("*", caller="*"), AS, OWN, None),
    "a user of an application without a rule": (outgoing(DELEGATED, USER), rules(USER), TO, GIVEN, None),
    "a user whose application was not given it": (outgoing(DELEGATED, USER), rules(USER, caller="*"), AS, GIVEN, None),
    "a user whose mailbox only some may use": (outgoing(DELEGATED, USER), rules("*", caller=USER), AS, SENDERS, None),
    "a user from an address": (
        outgoing(DELEGATED, USER, from_=person(SHOP)), rules(f"{USER} *", caller=f"{USER} *"), AS, "leave from", FROM,
    ),
    "a queue as another mailbox": (outgoing(QUEUE, HR), rules(SHOP), AS, SENDERS, None),
    "a queue from another mailbox": (outgoing(QUEUE, from_=EVIL), rules(SHOP), AS, SENDERS, FROM),
    "a route as another mailbox": (outgoing(ROUTE, HR), rules(SHOP), AS, SENDERS, None),
    "a copy to someone": (
        outgoing(QUEUE, cc_recipients=(person("a@fabrikam.test"), EVIL)), rules(SHOP, to="*@fabrikam.test"), TO,
        RECIPIENTS, "$.message.ccRecipients[1].emailAddress.address",
    ),
    "a blind copy to someone": (
        outgoing(ROUTE, bcc_recipients=(EVIL,)), rules(SHOP, to="*@fabrikam.test"), TO, RECIPIENTS,
        "$.message.bccRecipients[0].emailAddress.address",
    ),
    "no recipients allowed at all": (outgoing(QUEUE), rules(SHOP, to=""), TO, RECIPIENTS, FIRST),
    "an application's sender in the message": (
        outgoing(APP, sender=person(HR)), rules("*", caller=SHOP), AS, GIVEN, SENDER,
    ),
    "a user's sender in the message": (
        outgoing(DELEGATED, USER, sender=person(SHOP)), rules(f"{USER} *", caller=f"{USER} *"), AS, "leave from",
        SENDER,
    ),
    "a queue's sender in the message": (outgoing(QUEUE, sender=person(HR)), rules(SHOP), AS, SENDERS, SENDER),
}  # fmt: skip


@pytest.mark.parametrize(("given", "settings", "code", "rule", "path"), DENIED.values(), ids=DENIED)
def test_a_mail_that_one_rule_refuses_is_refused_with_the_code_and_the_name_of_that_rule(
    given: OutgoingMail, settings: Settings, code: str, rule: str, path: str | None
) -> None:
    with pytest.raises(NotAllowed) as caught:
        admit(given, settings)
    assert (caught.value.status, caught.value.code, caught.value.path) == (403, code, path)
    assert rule in str(caught.value)
    assert "@" not in str(caught.value), "a refusal names no address"
    assert "contoso" not in str(caught.value)


def test_a_pool_may_be_used_only_where_each_of_its_mailboxes_may() -> None:
    """Any of them may be chosen later."""
    pools = {"team": (SHOP, HR)}
    open_rules = Settings(sender_pools=pools, allowed_senders=Patterns.of([SHOP, HR]))
    admit(outgoing(QUEUE, "team"), open_rules)
    with pytest.raises(NotAllowed, match="MAIL_ALLOWED_SENDERS"):
        admit(outgoing(QUEUE, "team"), Settings(sender_pools=pools, allowed_senders=Patterns.of([SHOP])))
    with pytest.raises(NotAllowed, match="MAIL_ALLOWED_SENDERS"):
        admit(outgoing(QUEUE, "other"), open_rules)


def test_the_mailbox_of_routes_is_open_to_routes_alone() -> None:
    """MAIL_SENDER opens itself where MAIL_ALLOWED_SENDERS is not set, and only for events."""
    own = Settings(route_senders=Patterns.of([SHOP]))
    admit(outgoing(ROUTE), own)
    for origin, sender in ((QUEUE, SHOP), (ROUTE, HR)):
        with pytest.raises(NotAllowed):
            admit(outgoing(origin, sender), own)


@pytest.mark.parametrize(
    ("given", "settings", "place"),
    [
        (outgoing(QUEUE, from_=EVIL), rules(SHOP), "From"),
        (outgoing(QUEUE, sender=person(HR)), rules(SHOP), "Sender"),
        (outgoing(DELEGATED, USER, from_=person(SHOP)), rules(f"{USER} *", caller=f"{USER} *"), "From"),
        (outgoing(QUEUE), rules(SHOP, to="*@contoso.test"), "To, address 1"),
        (outgoing(QUEUE, to_recipients=(person(HR), EVIL)), rules(SHOP, to="*@contoso.test"), "To, address 2"),
        (outgoing(QUEUE, cc_recipients=(person(HR), EVIL)), rules(SHOP, to="*@fabrikam.test"), "Cc, address 1"),
        (outgoing(QUEUE, bcc_recipients=(EVIL,)), rules(SHOP, to="*@fabrikam.test"), "Bcc, address 1"),
    ],
)
def test_a_refusal_of_a_mail_that_came_as_mime_names_the_header(
    given: OutgoingMail, settings: Settings, place: str
) -> None:
    with pytest.raises(NotAllowed) as caught:
        admit(replace(given, mime=b"..."), settings)
    assert caught.value.path == place
