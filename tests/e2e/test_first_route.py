"""docs/first-route.md: every command and file in it, as written there, in a clean checkout."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e.running import ROOT, Sandbox, beside, eventually

PAGE = (ROOT / "docs" / "first-route.md").read_text()
BLOCKS = re.findall(r"^```(sh|text)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
RUN = next(text for kind, text in BLOCKS if kind == "sh" and "make run" in text)
CURL = next(text for kind, text in BLOCKS if kind == "sh" and text.startswith("curl"))


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of routes, once every command but the last two has run and said what the page says."""
    ready = Path(sys.prefix, ".ready")
    if not ready.exists():
        pytest.skip("needs the packages that make has set up in .venv")
    checkout = tmp_path_factory.mktemp("clean") / "mailroom"
    for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines():
        if (ROOT / name).exists():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, checkout / name)
    os.utime(checkout / "requirements-dev.txt", (0, 0))  # the packages of .venv are those of this file
    (checkout / ".venv").symlink_to(sys.prefix)
    said = ""
    # The tests may run under make themselves, with ARGS of its own.
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "ARGS"))}
    for (kind, text), (_, after) in pairwise([*BLOCKS, ("", "")]):
        if kind == "text":
            assert text.strip() in said
        elif text not in (RUN, CURL):
            done = subprocess.run(
                ["sh", "-ec", text], cwd=checkout, env=ours, capture_output=True, text=True, check=False
            )
            said = done.stdout + done.stderr
            assert (done.returncode != 0) is after.startswith("error: "), said
    assert (checkout / ".preview" / "index.html").exists()
    return checkout.parent / "our-routes"


@pytest.fixture
def shop(sandbox: Sandbox, routes: Path) -> Iterator[Sandbox]:
    """A host with these routes."""
    variables = dict(re.findall(r"([A-Z_]+)=(\S+)", RUN))
    with beside(sandbox, **variables | {"MAIL_ROUTES_DIR": str(routes)}) as host:
        yield host


def test_the_tutorial_ends_with_a_mail_of_its_own_route(shop: Sandbox, routes: Path) -> None:
    examples = routes / "orders" / "examples"
    assert (examples / "small.txt").read_text() == "Filtered\n"
    assert "Importance: high" in (examples / "paid.txt").read_text()
    for _ in range(2):
        script = CURL.replace("http://127.0.0.1:7071", shop.facts["host"])
        result = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=False)
        assert result.stdout.startswith("HTTP/1.1 202 Accepted"), result.stdout + result.stderr
    eventually(lambda: shop.subjects() == ["[Shop] Order A-1043 is paid"])
