"""The source `key`: a secret that is sent along. Where it counts is in test_security.py."""

import pytest

from shared.webhooks.sources.key import Key
from shared.webhooks.sources.source import RawRequest, Unverified
from tests.webhooks.sources.signers import NOW, basic_header

SECRET = "shop:s3cret"


@pytest.mark.parametrize(
    ("headers", "secret", "right"),
    [
        ({"authorization": "Bearer of-a-proxy", "x-api-key": SECRET}, SECRET, True),
        ({"authorization": f"Bearer {SECRET}", "x-api-key": "other"}, SECRET, True),
        ({"authorization": "Bearer of-a-proxy", "x-api-key": "other"}, SECRET, False),
        ({"authorization": "Bearer s3cret"}, "s3cret", True),
        ({"authorization": basic_header("s3cret")}, "s3cret", False),  # without a colon it is no password
    ],
)
def test_one_right_way_is_enough_beside_a_proxys_authorization(
    headers: dict[str, str],
    secret: str,
    right: bool,  # noqa: FBT001
) -> None:
    request = RawRequest(b"{}", headers)
    if right:
        Key().authenticate(request, [secret], NOW)
    else:
        with pytest.raises(Unverified, match="accepts: bearer, header, basic") as caught:
            Key().authenticate(request, [secret], NOW)
        assert "s3cret" not in str(caught.value)
