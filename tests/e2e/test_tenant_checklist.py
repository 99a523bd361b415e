"""docs/deploy.md, "What only your tenant can tell": each item has its command, and those that can run here do."""

import json
import os
import re
import subprocess

import pytest

from shared.bounces.report_search import BY_CLASS
from shared.mail.marker import MARKER_PROPERTY
from shared.mail.threading import IN_REPLY_TO, INDEX, INDEX_TRACKING, REFERENCES
from tests.e2e.running import ROOT, Sandbox

SECTION = (ROOT / "docs" / "deploy.md").read_text().partition("\n## What only your tenant can tell\n")[2]
ITEMS = {
    match[1]: match[2]
    for match in re.finditer(
        r"^\*\*([^*]+)\.\*\*\s(.*?)(?=^\*\*|\Z)", SECTION.partition("\n## ")[0], re.MULTILINE | re.DOTALL
    )
}
# What Microsoft's sources leave open.
OPEN = {
    "Bodies without a length",
    "5 MB, and two requests at once",
    "A slow request beside a fast one",
    "A request that is given up",
    "A queue message with an `id` of its own",
    "A deployment while mail is in flight",
    "What Exchange keeps of a mail",
    "What a non-delivery report looks like",
    "A token after a new grant",
    "Memory with the functions host",
    "Versions",
    "Levels of the log",
    "Instances for mail that waits",
    "The way out of a private network",
}
COMMAND = re.compile(r"```\w+\n|`(?:make|az|AppTraces)\b")


def command(item: str) -> str:
    (code,) = re.findall(r"```sh\n(.*?)```", ITEMS[item], re.DOTALL)
    return str(code)


def run(sandbox: Sandbox, item: str) -> str:
    result = subprocess.run(
        ["bash", "-c", command(item)],
        env={**os.environ, "url": sandbox.facts["host"]}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_nothing_that_is_open_is_missing_and_each_item_has_its_command() -> None:
    assert ITEMS.keys() == OPEN
    assert all(COMMAND.search(ITEMS[item]) for item in OPEN)


def test_a_body_without_a_length_is_asked_for_one(sandbox: Sandbox) -> None:
    assert run(sandbox, "Bodies without a length") == "411"


@pytest.mark.proof  # it waits for ten seconds
def test_how_long_a_fast_request_takes_beside_a_slow_one_is_measured(sandbox: Sandbox) -> None:
    assert 0 < float(run(sandbox, "A slow request beside a fast one")) < 30


def test_a_request_is_given_up_in_its_middle(sandbox: Sandbox) -> None:
    """Whatever the host makes of it, it goes on."""
    run(sandbox, "A request that is given up")
    assert sandbox.http.get(f"{sandbox.facts['host']}/api/health").status_code == 200


def test_two_messages_with_the_same_id_of_their_own_are_both_kept(sandbox: Sandbox) -> None:
    (content,) = re.findall(r"--content '(.*)'", command("A queue message with an `id` of its own"))
    assert json.loads(content)["id"] == "1"
    with sandbox.dead(2):
        for _ in range(2):
            sandbox.put("mail-outbox", content, time_to_live=-1)


def test_the_properties_to_look_for_are_those_that_mailroom_sends() -> None:
    (code,) = re.findall(r"```powershell\n(.*?)```", ITEMS["What Exchange keeps of a mail"], re.DOTALL)
    named = set(re.findall(r"'(String [^']+|Binary [^']+|Boolean [^']+)'", code))
    assert named == {MARKER_PROPERTY, IN_REPLY_TO, REFERENCES, INDEX, INDEX_TRACKING}


def test_reports_are_searched_for_as_mailroom_does() -> None:
    assert f'{BY_CLASS}"' in ITEMS["What a non-delivery report looks like"]
