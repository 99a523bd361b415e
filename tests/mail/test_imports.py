import subprocess
import sys

import pytest

FOREIGN = (
    "msgraph", "kiota_abstractions", "idna", "azure", "httpx", "shared.graph", "shared.delivery", "shared.mime.read",
)  # fmt: skip
MODULES = [
    "shared.mail.outgoing", "shared.mail.limits", "shared.mail.sdk_message",
    "shared.mail.parse", "shared.mail.sizes", "shared.mail.marker", "shared.mail.threading",
    "shared.mail.model",
    "shared.policy.admit", "shared.settings.address_patterns",
]  # fmt: skip


@pytest.mark.parametrize("reading", [False, True])
def test_mails_and_policy_load_nothing_large_when_they_are_imported(reading: bool) -> None:  # noqa: FBT001 - a value of the table
    """Nor when a body is refused by its shape: what loads late, loads on first use."""
    use = "\ntry: shared.mail.parse.send_mail(b'{}')\nexcept Exception: pass" if reading else ""
    code = f"import sys, {', '.join(MODULES)}{use}\nprint([name for name in {FOREIGN} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
