"""The README's commands do what it says."""

import re
import subprocess

from tests.e2e.running import ROOT, Sandbox, eventually

README = (ROOT / "README.md").read_text()


def script_under(heading: str) -> str:
    """The commands of a section."""
    (script,) = re.findall(
        r"```sh\n(.*?)```", README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0], re.DOTALL
    )
    return str(script)


def test_the_first_mail_of_the_readme_is_sent(sandbox: Sandbox) -> None:
    """As it stands there, but for the ports: tests use free ones."""
    script = script_under("The first mail")
    authority = sandbox.facts["graph"].removesuffix("/v1.0")
    script = script.replace("http://127.0.0.1:7072", authority).replace("http://127.0.0.1:7071", sandbox.facts["host"])
    result = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=False)
    assert result.stdout.startswith("HTTP/1.1 202 Accepted"), result.stdout + result.stderr
    eventually(lambda: sandbox.subjects() == ["Meet for lunch?"])  # on a busy machine by the queue


def test_the_first_event_of_the_readme_becomes_a_mail(sandbox: Sandbox) -> None:
    script = script_under("The first event")
    script = script.replace("http://127.0.0.1:7071", sandbox.facts["host"])
    result = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=False)
    assert result.stdout.startswith("HTTP/1.1 200 OK"), result.stdout + result.stderr
    eventually(lambda: any("DiskFull" in subject for subject in sandbox.subjects()))


def test_every_source_has_its_page() -> None:
    routes = {folder.name for folder in (ROOT / "shared/webhooks/routes").glob("[a-z]*")}
    assert routes | {"hmac", "key"} == {page.stem for page in (ROOT / "docs/sources").glob("*.md")}


def test_every_setting_is_in_the_readme() -> None:
    source = (ROOT / "shared" / "settings" / "config.py").read_text()
    read = set(re.findall(r'"((?:MAIL|AZURE|GRAPH)_[A-Z_]+|AzureWebJobsStorage)"', source))
    assert read <= set(re.findall(r"`([A-Za-z_]+)[`<]", README))
