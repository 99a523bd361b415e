"""Headers that name people beside To, Cc and Bcc, in mails that come as JSON. As MIME: test_mime.py."""

import json

import pytest

from shared.errors import Malformed
from shared.letters.parse import send_mail
from shared.letters.people_headers import ASK_FOR_ANSWERS, NAME_RECIPIENTS, TAKEN_FOR_RECIPIENTS
from shared.policy.redirect import redirected


def body(name: str) -> bytes:
    headers = [{"name": "x-kept", "value": "1"}, {"name": name, "value": "someone@fabrikam.test"}]
    people = [{"emailAddress": {"address": "adele@fabrikam.test"}}]
    return json.dumps({"message": {"toRecipients": people, "internetMessageHeaders": headers}}).encode()


@pytest.mark.parametrize("name", sorted(name for name in TAKEN_FOR_RECIPIENTS if name.startswith("x-")))
def test_a_header_that_some_programs_take_recipients_from_is_refused_with_its_path(name: str) -> None:
    with pytest.raises(Malformed) as caught:
        send_mail(body(name.upper()))
    assert caught.value.code == "InvalidInternetMessageHeaderCollection"
    assert caught.value.path == "$.message.internetMessageHeaders[1].name"


@pytest.mark.parametrize("name", sorted(name for name in NAME_RECIPIENTS | ASK_FOR_ANSWERS if name.startswith("x-")))
def test_a_redirected_mail_has_no_header_that_leads_back(name: str) -> None:
    sent = redirected(send_mail(body(name.upper())), "catcher@elsewhere.test").message
    assert [header.name for header in sent.internet_message_headers or ()][:1] == ["x-kept"]
    assert name not in {header.name.lower() for header in sent.internet_message_headers or ()}
