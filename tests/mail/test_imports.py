import subprocess
import sys

FOREIGN = (
    "msgraph", "kiota_abstractions", "idna", "azure", "httpx", "shared.graph", "shared.delivery", "shared.mime.read",
)  # fmt: skip
MODULES = [
    "shared.mail.outgoing", "shared.mail.limits",
    "shared.mail.parse", "shared.mail.sizes", "shared.mail.marker", "shared.mail.threading",
    "shared.mail.model",
    "shared.policy.admit", "shared.settings.address_patterns",
]  # fmt: skip


def test_mails_and_policy_load_nothing_large_when_they_are_imported_or_refuse_a_body_by_its_shape() -> None:
    use = "try: shared.mail.parse.send_mail(b'{}')\nexcept Exception: pass"
    code = f"import sys, {', '.join(MODULES)}\n{use}\nprint([name for name in {FOREIGN} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
