import asyncio
import ssl
import stat
from pathlib import Path

import pytest

from sandbox.certificate import issue


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
async def test_a_strict_client_that_trusts_the_authority_accepts_the_leaf(tmp_path: Path, name: str) -> None:
    """RFC 5280 to the mail, as Python's own default asks since 3.13."""
    files = issue(tmp_path)
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(files.certificate, files.key)
    client = ssl.create_default_context(cafile=files.ca)
    client.verify_flags |= ssl.VERIFY_X509_STRICT

    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=served) as server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
        writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="sandbox.example")


def test_the_key_is_for_its_owner_and_the_authoritys_is_kept_nowhere(tmp_path: Path) -> None:
    files = issue(tmp_path)
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == sorted([files.certificate, files.key, files.ca])
