"""Headers that name people beside To, Cc and Bcc, in mails that come as JSON. As MIME: test_mime.py."""

import json

import pytest

from shared.errors import Malformed
from shared.mail.parse import send_mail
from shared.mail.ways_back import NAME_NOBODY, NAME_RECIPIENTS, TAKEN_FOR_RECIPIENTS


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


def test_no_header_that_names_recipients_is_among_those_that_name_nobody() -> None:
    assert not NAME_NOBODY & (NAME_RECIPIENTS | TAKEN_FOR_RECIPIENTS)
    assert "reply-to" not in NAME_NOBODY
    assert all(name == name.lower() for name in NAME_NOBODY | NAME_RECIPIENTS | TAKEN_FOR_RECIPIENTS)
