"""What holds at the last moment, whatever held when the mail came in."""

from dataclasses import replace
from typing import Any

import pytest

from shared.mail.model import Message
from shared.mail.outgoing import OutgoingMail
from shared.policy.pre_send import Declined, Goes, before_send
from shared.settings.address_patterns import Patterns
from shared.settings.config import Mode, Settings
from tests.mail.samples import person
from tests.policy.test_admit import APP, QUEUE, SHOP, outgoing, rules

ADELE, BEN, CAROL = "adele@fabrikam.test", "Ben@fabrikam.test", "carol@fabrikam.test"
CATCHER = "catcher@elsewhere.test"
NOBODY: frozenset[str] = frozenset()


OPEN = Settings(allowed_senders=Patterns.parse(SHOP))


TAKEN_BACK = rules(SHOP, caller=SHOP, caller_to="*@contoso.test").callers


def addresses(message: Message) -> list[str]:
    return [recipient.email_address.address for recipient in message.recipients]


def goes(given: OutgoingMail, settings: Settings, suppressed: frozenset[str] = NOBODY) -> Goes:
    verdict = before_send(given, settings, suppressed)
    assert isinstance(verdict, Goes)
    return verdict


def three(**message: Any) -> OutgoingMail:
    return outgoing(
        QUEUE, to_recipients=(person(ADELE),), cc_recipients=(person(BEN),), bcc_recipients=(person(CAROL),), **message
    )


def test_where_nothing_has_changed_the_mail_goes_as_it_is() -> None:
    given = three()
    assert before_send(given, OPEN, NOBODY) == Goes(given)


@pytest.mark.parametrize(
    ("given", "settings", "code"),
    [
        (three(), replace(OPEN, allowed_senders=Patterns()), "ErrorSendAsDenied"),
        (three(), replace(OPEN, allowed_recipients=Patterns.parse("*@contoso.test")), "ErrorAccessDenied"),
        (outgoing(APP), OPEN, "ErrorAccessDenied"),
        (outgoing(APP), replace(OPEN, callers=TAKEN_BACK), "ErrorAccessDenied"),
    ],
    ids=["the sender", "a recipient", "the caller", "the caller's recipients"],
)
def test_a_mail_that_a_rule_allows_no_longer_has_failed_with_the_rules_code(
    given: OutgoingMail, settings: Settings, code: str
) -> None:
    verdict = before_send(given, settings, NOBODY)
    assert isinstance(verdict, Declined)
    assert (verdict.state, verdict.status, verdict.code) == ("failed", 403, code)
    assert "@" not in verdict.message


def test_what_was_admitted_a_moment_ago_is_not_admitted_again_but_all_else_holds() -> None:
    closed = replace(OPEN, allowed_senders=Patterns())
    assert before_send(three(), closed, NOBODY, admitted=True) == Goes(three())
    assert before_send(three(), closed, frozenset({ADELE, BEN, CAROL}), admitted=True) == Declined("suppressed", 3)


@pytest.mark.parametrize(
    ("suppressed", "left"),
    [({ADELE}, [BEN, CAROL]), ({BEN}, [ADELE, CAROL]), ({CAROL, ADELE}, [BEN]), ({"x@y.test"}, [ADELE, BEN, CAROL])],
)
def test_suppressed_recipients_are_left_out_of_to_cc_and_bcc(suppressed: set[str], left: list[str]) -> None:
    verdict = goes(three(), OPEN, frozenset(suppressed))
    assert addresses(verdict.mail.request.message) == left
    assert verdict.mail.request.message.to_recipients != (), "a list that nobody is left in is absent"
    assert verdict.left_out == 3 - len(left)


@pytest.mark.parametrize("mode", ["live", "redirect", "capture"])
def test_a_mail_whose_every_recipient_is_suppressed_ends_so_in_every_mode(mode: Mode) -> None:
    settings = replace(OPEN, mode=mode, redirect_to=CATCHER)
    assert before_send(three(), settings, frozenset({ADELE, BEN, CAROL})) == Declined("suppressed", 3)


def test_a_mail_is_captured_with_the_number_that_it_would_have_left_out() -> None:
    assert before_send(three(), replace(OPEN, mode="capture"), frozenset({BEN})) == Declined("captured", 1)


def test_what_is_captured_or_redirected_must_have_been_allowed_live() -> None:
    for mode in ("capture", "redirect"):
        settings = Settings(mode=mode, redirect_to=CATCHER)
        verdict = before_send(three(), settings, NOBODY)
        assert isinstance(verdict, Declined)
        assert verdict.state == "failed"


def test_a_redirected_mail_reaches_the_operators_address_alone_whatever_the_rules_say_of_it() -> None:
    settings = replace(OPEN, mode="redirect", redirect_to=CATCHER, allowed_recipients=Patterns.parse("*@fabrikam.test"))
    verdict = goes(three(), settings, frozenset({BEN, CATCHER}))
    assert addresses(verdict.mail.request.message) == [CATCHER]
    assert verdict.left_out == 1
