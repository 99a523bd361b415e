"""docs/clients.md: what can run here is run as it stands on the page."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from sandbox.cloud.directory import CALLER_CLIENT_ID
from tests.e2e.running import ROOT, Sandbox, eventually

PAGE = (ROOT / "docs" / "clients.md").read_text()
SUBJECT = "Rechnung für März"
MAILROOM = "https://mailroom.example"


def block(heading: str, language: str) -> str:
    """The code of a section."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    (code,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return str(code)


def here(code: str, sandbox: Sandbox) -> str:
    """With the sandbox's addresses in the place of the page's, and a key of its own for each test."""
    for written, found in (
        (MAILROOM, sandbox.facts["host"]),
        ("11111111-2222-3333-4444-555555555555", sandbox.facts["api_client_id"]),
        ("alerts@contoso.com", sandbox.sender),
        ("invoice-4711", f"invoice-{uuid.uuid4()}"),
    ):
        assert written in code
        code = code.replace(written, found)
    return code


def identity(sandbox: Sandbox) -> dict[str, str]:
    """As an app in Azure has it whose managed identity is the caller that may send."""
    return {
        "IDENTITY_ENDPOINT": sandbox.facts["identity"],
        "IDENTITY_HEADER": sandbox.facts["identity_header"],
        "AZURE_CLIENT_ID": CALLER_CLIENT_ID,
    }


def run(*command: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "IDENTITY_"))}
    result = subprocess.run(command, env=kept | environment, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr + result.stdout
    return result.stdout


def arrived(sandbox: Sandbox) -> None:
    """The mail of the page, with its copy in Sent Items."""
    [mail] = eventually(lambda: [one for one in sandbox.accepted() if one["message"]["subject"] == SUBJECT])
    assert mail["saveToSentItems"] is True
    assert mail["message"]["body"]["content"] == "<p>It is due in 14 days.</p>"
    assert [to["emailAddress"]["address"] for to in mail["message"]["toRecipients"]] == ["customer@contoso.com"]


def az(sandbox: Sandbox, folder: Path) -> str:
    """A PATH that begins with an az whose login is the caller's. It says what it is asked for, as az does."""
    script = folder / "az"
    asked = f"account get-access-token --scope api://{sandbox.facts['api_client_id']}/.default"
    script.write_text(
        f'#!/bin/sh\n[ "$*" = "{asked} --query accessToken --output tsv" ] || exit 2\necho {sandbox.token()}\n'
    )
    script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_python_and_what_mailroom_refuses_is_an_error_of_graph(sandbox: Sandbox, tmp_path: Path) -> None:
    """Both in one process, which loads the SDK once."""
    code = here(block("Python", "python"), sandbox)
    (tmp_path / "send.py").write_text(code)
    (tmp_path / "wrong.py").write_text(code.replace("customer@contoso.com", "no address"))
    both = "import runpy; runpy.run_path('send.py'); print('sent'); runpy.run_path('wrong.py')"
    with pytest.raises(AssertionError, match=r"ODataError(?s:.)*toRecipients\[0\]\.emailAddress\.address(?s:.)*sent"):
        run(sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r}); {both}", **identity(sandbox))
    arrived(sandbox)


def test_javascript(secure: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to((ROOT / "sandbox" / "node_modules").resolve())
    program = tmp_path / "send.mjs"
    program.write_text(here(block("JavaScript", "javascript"), secure))
    run("node", str(program), NODE_EXTRA_CA_CERTS=secure.facts["ca"], **identity(secure))
    arrived(secure)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("new URL(mailroom).hostname", '"elsewhere.example"'),
        ("new URL(mailroom).hostname", "new URL(mailroom).host"),
        ("/api/`", "/api/v1.0/`"),
    ],
)
def test_javascript_as_the_page_warns_of_it(secure: Sandbox, tmp_path: Path, written: str, instead: str) -> None:
    """No token without customHosts, and none where that has a port; the client adds the version."""
    (tmp_path / "node_modules").symlink_to((ROOT / "sandbox" / "node_modules").resolve())
    program = tmp_path / "send.mjs"
    code = here(block("JavaScript", "javascript"), secure)
    assert written in code
    program.write_text(code.replace(written, instead))
    with pytest.raises(AssertionError, match="404" if "api" in written else "InvalidAuthenticationToken"):
        run("node", str(program), NODE_EXTRA_CA_CERTS=secure.facts["ca"], **identity(secure))
    assert secure.accepted() == []


def test_curl(sandbox: Sandbox, tmp_path: Path) -> None:
    script = here(block("curl", "sh"), sandbox)
    for _ in range(2):
        run("sh", "-ec", script, PATH=az(sandbox, tmp_path))
    arrived(sandbox)  # the key makes one mail of both


# Where the engine has no commands of the web: what would be sent, as JSON.
WEB = """
if (-not (Get-Command Invoke-RestMethod -ErrorAction SilentlyContinue)) {
    function Invoke-RestMethod {
        param($Method, $Uri, $Headers, $ContentType, $Body)
        Write-Output "$Method $Uri"
        Write-Output "Content-Type: $ContentType"
        foreach ($name in $Headers.Keys) { Write-Output "${name}: $($Headers[$name])" }
        Write-Output "body $([System.Convert]::ToBase64String($Body))"
    }
}
"""


def test_powershell(sandbox: Sandbox, tmp_path: Path) -> None:
    """Up to the request: where Invoke-RestMethod is missing, what it was to send is sent for it."""
    pwsh = shutil.which("pwsh")
    if pwsh is None:
        pytest.skip("PowerShell is missing: install pwsh")
    program = tmp_path / "send.ps1"
    program.write_text(WEB + here(block("PowerShell", "powershell"), sandbox), encoding="utf-8-sig")
    said = run(pwsh, "-NoProfile", "-File", str(program), PATH=az(sandbox, tmp_path)).splitlines()
    if said:
        method, url = said[0].split(" ")
        headers = dict(line.split(": ", 1) for line in said[1:-1])
        body = base64.b64decode(said[-1].removeprefix("body "))
        answer = sandbox.http.request(method, url, headers=headers, content=body)
        assert answer.status_code == 202, answer.text
    arrived(sandbox)


def test_queue(sandbox: Sandbox, tmp_path: Path) -> None:
    """But for the credential: this storage takes no tokens over plain http."""
    fields = dict(field.split("=", 1) for field in sandbox.facts["storage"].split(";") if field)
    code = block("Queue", "python").replace("alerts@contoso.com", sandbox.sender)
    for written, found in (
        ("https://stmailroom.queue.core.windows.net", fields["QueueEndpoint"]),
        ("credential=DefaultAzureCredential()", f"credential={fields['AccountKey']!r}"),
    ):
        assert written in code
        code = code.replace(written, found)
    assert "time_to_live=-1" in code
    program = tmp_path / "put.py"
    program.write_text(code)
    run(sys.executable, str(program))
    sandbox.arrives(SUBJECT)
    eventually(lambda: sandbox.count("mail-outbox") == 0)
    arrived(sandbox)


def test_every_mail_on_the_page_is_the_same() -> None:
    """So that the blocks that do not run here say what those say that do."""
    for heading, language in (("JavaScript", "javascript"), ("curl", "sh"), ("Queue", "python")):
        assert f'"{SUBJECT}"' in block(heading, language)
    json.loads(block("curl", "sh").partition("<<'MAIL'\n")[2].partition("\nMAIL")[0])
    for heading, language in ((".NET", "csharp"), ("Java", "java")):
        code = block(heading, language)
        assert all(part in code for part in (f"{MAILROOM}/api/v1.0", "alerts@contoso.com", "invoice-4711"))
