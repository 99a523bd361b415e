"""scripts/limit-sender-mailboxes.ps1 as a file and in its documentation, and the fake Exchange that tries it."""

import json
import os
import re
import shutil
import subprocess
from copy import deepcopy
from pathlib import Path

import pytest

from tests.scripts.exchange import ALERTS, APPLICATION, GRANTED, HERE, IDENTITY, MAILROOM, SCRIPT, Exchange, identifier


def test_as_a_command_of_its_own(exchange: Exchange, tmp_path: Path) -> None:
    """From any shell, where a list of mailboxes is one argument: it is taken apart. The exit code is the process's."""
    pwsh = shutil.which("pwsh")
    assert pwsh
    state = tmp_path / "exchange.json"
    state.write_text(json.dumps(exchange.state))
    senders = f"{MAILROOM}, {ALERTS}"
    given = ["-ApplicationId", APPLICATION, "-ObjectId", IDENTITY, "-Mailbox", senders, "-TestOutOfScope", ALERTS]
    done = subprocess.run(
        [pwsh, "-NoProfile", "-File", str(SCRIPT), *given],
        env={**os.environ, "EXCHANGE_STATE": str(state), "PSModulePath": str(HERE / "modules")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    sentence = f"-TestOutOfScope '{ALERTS}' is one of -Mailbox, so Mailroom is meant to reach it."
    assert (done.returncode, done.stderr.strip()) == (2, sentence)


def commands(section: str) -> str:
    """The PowerShell in a section of the page that tells a reader what to run, with the ids of these tests."""
    page = (SCRIPT.parents[1] / "docs" / "sender-mailboxes.md").read_text()
    within = page.split(f"\n## {section}\n")[1].split("\n## ")[0]
    block: str
    (block,) = re.findall(r"```powershell\n(.*?)```", within, re.DOTALL)
    for written, meant in (
        ("./scripts/limit-sender-mailboxes.ps1", f"& '{SCRIPT}'"),
        ("<application id>", APPLICATION),
        ("<object id>", IDENTITY),
    ):
        block = block.replace(written, meant)
    assert "<" not in block
    return block


def test_what_the_page_says_can_be_run(exchange: Exchange, tmp_path: Path) -> None:
    """Setting it up, looking at it, and undoing it, which leaves nothing behind and takes nothing of others."""
    before = deepcopy(exchange.others())
    script = tmp_path / "page.ps1"
    script.write_text(commands("Do it"))
    run = exchange.run(str(script))
    assert run.code == 0, run.output
    assert (exchange.scoped(), exchange.assigned()) == ({1, 2}, GRANTED)
    script.write_text(commands("See it"))
    run = exchange.run(str(script))
    assert (run.code, run.written) == (0, [])
    assert identifier(2) in run.output
    script.write_text(commands("Undo it"))
    run = exchange.run(str(script))
    assert run.code == 0, run.output
    assert "couldn't" not in run.output
    assert exchange.state["principals"] + exchange.state["scopes"] + exchange.state["assignments"] == before


def test_windows_powershell_can_read_it(exchange: Exchange) -> None:
    """5.1 knows none of the syntax that came with 7."""
    run = exchange.run(str(HERE / "syntax.ps1"), Path=str(SCRIPT))
    assert (run.code, run.output) == (0, ""), run.output


def test_it_is_ascii() -> None:
    """Windows PowerShell takes a file without a mark for the machine's old code page."""
    assert SCRIPT.read_bytes().isascii()


def test_every_exit_code_is_documented() -> None:
    text = SCRIPT.read_text()
    notes, code = text.split("#>", 1)
    documented = set(re.findall(r"^    (\d)  ", notes, re.MULTILINE))
    assert documented == {"0", *re.findall(r"(?:Stop-Here|exit|\$code =) (\d)", code)}


@pytest.mark.parametrize(
    ("cmdlet", "parameters", "words"),
    [
        ("New-ManagementScope", {"Name": "A", "RecipientFilter": "Name -eq 'a'"}, "parameter name 'RecipientFilter'"),
        (
            "New-ManagementScope",
            {"Name": "A", "RecipientRestrictionFilter": "Name -eq 'o'neil'"},
            "Invalid filter syntax",
        ),
        ("New-ManagementScope", {"Name": "A", "RecipientRestrictionFilter": "Name -eq a"}, "Invalid filter syntax"),
        ("New-ManagementScope", {"Name": "A", "RecipientRestrictionFilter": "(Name -eq 'a'"}, "not closed"),
        ("New-ManagementScope", {"Name": "A", "RecipientRestrictionFilter": "Name -eq 'a' or Name -eq 'b'"}, "Invalid"),
        ("New-ManagementScope", {"Name": "A", "RecipientRestrictionFilter": "Mail -eq 'a'"}, "filterable property"),
        ("New-ManagementScope", {"Name": "Rooms", "RecipientRestrictionFilter": "Name -eq 'a'"}, "already exists"),
        ("New-ManagementScope", {"Name": "A" * 65, "RecipientRestrictionFilter": "Name -eq 'a'"}, "64"),
        ("Get-Mailbox", {"Filter": "Guid -eq 'mailroom'"}, "to the type Guid"),
        (
            "New-ManagementRoleAssignment",
            {"Role": "Mail.Send", "App": identifier(0xB2)},
            "role 'Mail.Send' couldn't be found",
        ),
        ("New-ManagementRoleAssignment", {"Role": "Application Mail.Send", "App": IDENTITY}, "couldn't be found"),
        ("Remove-ManagementRoleAssignment", {"Identity": "Rooms read"}, "Are you sure"),
    ],
)
def test_the_fake_refuses_what_exchange_refuses(
    exchange: Exchange, cmdlet: str, parameters: dict[str, str], words: str
) -> None:
    """So that a script which it takes stands a chance with the real one."""
    before = deepcopy(exchange.state)
    run = exchange.run(cmdlet, **parameters, ErrorAction="Stop")
    assert run.code == 99
    assert words in run.output
    assert exchange.state == before
