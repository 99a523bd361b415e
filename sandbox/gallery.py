"""`python -m sandbox.gallery`: a mail of each route on a desktop and on a phone, light and dark, for docs/gallery.md.

Needs Chromium, and pngquant, which makes the files small. Run it when the looks have changed, and look at the pictures.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path
from typing import Final

from sandbox.examples import Studio, examples_of
from sandbox.options import ROOT
from shared.webhooks.routing.catalog import load

SHOWN: Final = {
    "github": "workflow_run-failure",
    "stripe": "charge.dispute.created",
    "alertmanager": "firing-many",
    "grafana": "firing-one",
    "azure-monitor": "metric-fired",
    "azure-devops": "build.complete-failed",
    "gitlab": "pipeline-failed",
    "sentry": "event_alert-triggered",
    "pagerduty": "incident.triggered",
    "jira": "issue_updated-status",
    "zabbix": "problem",
    "healthchecks": "down",
    "gatus": "triggered",
    "slack": "attachment-alert",
    "teams": "message-card",
    "eventgrid": "secret-near-expiry",
    "uptime-kuma": "down",
    "cloudevents": "structured",
    "standard-webhooks": "contact.created",
    "generic": "argo-cd",
}
"""By route, the example that stands for its mails."""

FOLDER: Final = ROOT / "docs" / "gallery"
WIDTH: Final = 1140
TALLEST: Final = 900  # pixels of a mail; the rest is cut off
# A frame's color-scheme is what the mail in it sees as its reader's preference.
PAGE: Final = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; padding: 16px; width: 1108px; display: flex; flex-wrap: wrap; gap: 16px; background: #c9ced5 }
iframe { border: 0; background: Canvas } .dark { color-scheme: dark }</style>
FRAMES<script>
addEventListener("load", () => {
  const frames = [...document.querySelectorAll("iframe")]
  const tallest = Math.max(...frames.map(frame => frame.contentDocument.documentElement.scrollHeight))
  for (const frame of frames) frame.height = Math.min(TALLEST, tallest)
  document.title = "height " + (document.body.scrollHeight)
})</script>"""
ROW: Final = (
    '<iframe class="{0}" width="702" srcdoc="{1}"></iframe><iframe class="{0}" width="390" srcdoc="{1}"></iframe>'
)
FIRST: Final = "github"  # its picture is on the README's first screen, light alone
OPTIONS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-quic",
)  # fmt: skip


def main() -> int:
    """Take all pictures anew. Exit status 2: a program is missing."""
    chromium, pngquant = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("pngquant")
    if chromium is None or pngquant is None:
        print("gallery: needs chromium and pngquant on PATH; both are packages of Debian", file=sys.stderr)
        return 2
    FOLDER.mkdir(exist_ok=True)
    studio = Studio()
    for route, example in examples_of(load()):
        if SHOWN.get(route.name) == example.name:
            (mail, *_) = studio.mails(route, example)
            rows = [ROW.format(scheme, escape(mail.rendered.html)) for scheme in ("light", "dark")]
            _picture((chromium, pngquant), "".join(rows), FOLDER / f"{route.name}.png")
            if route.name == FIRST:
                _picture((chromium, pngquant), rows[0], FOLDER / "first.png")
    return 0


def _picture(programs: tuple[str, str], frames: str, to: Path) -> None:
    chromium, pngquant = programs
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(PAGE.replace("TALLEST", str(TALLEST)).replace("FRAMES", frames), "utf-8")
        options = [chromium, *OPTIONS, f"--user-data-dir={folder}/profile"]
        window = f"--window-size={WIDTH},2000"
        seen = subprocess.run([*options, window, "--dump-dom", str(file)], capture_output=True, text=True, check=True)
        height = re.search(r"<title>height (\d+)</title>", seen.stdout)
        size = f"--window-size={WIDTH},{height[1] if height else 2000}"
        subprocess.run([*options, size, f"--screenshot={to}", str(file)], capture_output=True, check=True)
        subprocess.run([pngquant, "--force", "--ext", ".png", "--quality", "70-95", "--strip", to], check=True)
    print(to)


if __name__ == "__main__":
    sys.exit(main())
