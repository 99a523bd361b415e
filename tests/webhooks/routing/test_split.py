"""More recipients than Graph takes in one mail."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Malformed
from shared.mail.graph_types import EmailAddress, Recipient
from shared.mail.limits import MAX_RECIPIENTS, check
from shared.mail.model import Message, SendMail
from shared.mail.outgoing import OutgoingMail, Repeat
from shared.webhooks.rendering.mails import Renderer
from shared.webhooks.routing.catalog import BUILT_IN
from shared.webhooks.routing.compose import Composer
from shared.webhooks.routing.recipients import MOST, parts_of
from shared.webhooks.sources.source import SourceEvent
from tests.delivery.samples import outgoing_mail as sample
from tests.webhooks.routing.samples import NOW, event, route
from tests.webhooks.routing.samples import settings as given_settings

COMPOSER = Composer(given_settings(), Renderer(BUILT_IN / "_layout"))
ROUTE = """
recipients_from = "data.to"
allow = ["*@fabrikam.com"]
cc = ["c@contoso.com"]
bcc = ["d@contoso.com"]
"""


def people(kind: str, count: int) -> tuple[Recipient, ...]:
    return tuple(
        Recipient(email_address=EmailAddress(address=f"{kind}{number}@fabrikam.com")) for number in range(count)
    )


def addressed(to: int, cc: int = 0, bcc: int = 0) -> OutgoingMail:
    return of_message(
        Message(
            to_recipients=people("to", to) or None,
            cc_recipients=people("cc", cc) or None,
            bcc_recipients=people("bcc", bcc) or None,
            subject="Meet for lunch?",
        )
    )


def of_message(message: Message) -> OutgoingMail:
    return replace(sample(), request=SendMail(message=message))


def addresses(mail: OutgoingMail) -> list[str]:
    return [one.email_address.address for one in mail.request.message.recipients]


def test_as_many_as_graph_takes_stay_one_mail_as_it_is() -> None:
    whole = addressed(498, 1, 1)
    assert parts_of(whole, split=True) == parts_of(whole, split=False) == (whole,)


def test_one_more_is_refused_unless_the_route_wants_it_split() -> None:
    with pytest.raises(Malformed) as refusal:
        parts_of(addressed(499, 1, 1), split=False)
    assert refusal.value.code == "ErrorInvalidRecipients"
    assert "split_recipients" in str(refusal.value)
    assert len(parts_of(addressed(499, 1, 1), split=True)) == 2


@given(st.integers(1, 1200), st.integers(0, 1200), st.integers(0, 1200))
def test_everyone_is_mailed_once_as_what_they_were_in_mails_that_graph_takes(to: int, cc: int, bcc: int) -> None:
    whole = addressed(to, cc, bcc)
    parts = parts_of(whole, split=True)
    for name in ("to_recipients", "cc_recipients", "bcc_recipients"):
        mailed = [one for part in parts for one in getattr(part.request.message, name) or ()]
        assert mailed == list(getattr(whole.request.message, name) or ())
    for part in parts:
        check(part.request)
    assert len(parts) == -(-len(addresses(whole)) // MAX_RECIPIENTS)


def test_parts_have_ids_and_fingerprints_of_their_own_the_same_each_time() -> None:
    one, other = (parts_of(addressed(1700), split=True) for _ in range(2))
    assert [part.id for part in one] == [part.id for part in other]
    assert len({part.id for part in one}) == len({part.fingerprint for part in one}) == 4
    assert one[0].id == addressed(1700).id
    assert {part.request.message.subject for part in one} == {"Meet for lunch?"}


def test_a_repeat_of_a_mail_repeats_its_parts() -> None:
    earlier = addressed(1100)
    later = replace(earlier, id="1" * 32, repeats=Repeat(of=earlier.id, within=60))
    of = [part.repeats.of if part.repeats else "" for part in parts_of(later, split=True)]
    assert of == [part.id for part in parts_of(earlier, split=True)]


def test_who_stands_in_two_lists_is_mailed_once() -> None:
    twice = (Recipient(email_address=EmailAddress(address="TO5@Fabrikam.com")),)
    message = msgspec.structs.replace(addressed(600).request.message, bcc_recipients=twice)
    counts = Counter(one.lower() for part in parts_of(of_message(message), split=True) for one in addresses(part))
    assert set(counts.values()) == {1}
    assert len(counts) == 600


def test_there_is_an_end_to_it() -> None:
    assert len(parts_of(addressed(MOST), split=True)) == MOST // MAX_RECIPIENTS
    with pytest.raises(Malformed):
        parts_of(addressed(MOST + 1), split=True)


def to(count: int, **attributes: Any) -> SourceEvent:
    return event(data={"to": [f"someone{number}@fabrikam.com" for number in range(count)]}, **attributes)


def test_a_route_says_whether_its_mails_are_split_for_some_events_too(tmp_path: Path) -> None:
    shop = route(tmp_path, ROUTE + '\n[events."order.*"]\nsplit_recipients = true\n')
    parts = COMPOSER.mails(shop, to(600), NOW)
    assert [len(addresses(part)) for part in parts] == [500, 102]
    assert addresses(parts[1])[-2:] == ["c@contoso.com", "d@contoso.com"]
    with pytest.raises(Malformed):
        COMPOSER.mails(shop, to(600, type="other"), NOW)
    assert len(COMPOSER.mails(shop, to(498), NOW)) == 1
    assert COMPOSER.mails(route(tmp_path, "skip = true"), to(1), NOW) == ()
