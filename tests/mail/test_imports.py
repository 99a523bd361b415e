import subprocess
import sys

FOREIGN = (
    "msgraph", "kiota_abstractions", "kiota_http", "idna", "azure", "httpx", "aiohttp", "jwt", "cryptography",
    "shared.graph.client", "shared.graph.sdk_request", "shared.delivery", "shared.mime.read",
)  # fmt: skip
MODULES = [
    "shared.mail.outgoing", "shared.mail.limits", "shared.mail.parse", "shared.mail.sizes", "shared.mail.marker",
    "shared.mail.threading", "shared.mail.model", "shared.policy.admit", "shared.settings.address_patterns",
    "shared.settings.clouds", "shared.graph.http_status", "shared.auth.entra",
]  # fmt: skip


def test_what_indexing_imports_loads_nothing_large_nor_does_a_body_that_is_refused_by_its_shape() -> None:
    use = "try: shared.mail.parse.send_mail(b'{}')\nexcept Exception: pass"
    code = f"import sys, {', '.join(MODULES)}\n{use}\nprint([name for name in {FOREIGN} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
