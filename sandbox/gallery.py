"""`python -m sandbox.gallery`: one mail of each source as it looks on a desk and on a phone, for docs/gallery.md.

Needs Chromium. The pictures are made by hand when the looks have changed, and looked at.
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
    "eventgrid": "secret-near-expiry",
    "uptime-kuma": "down",
    "cloudevents": "structured",
    "standard-webhooks": "contact.created",
    "generic": "backup-failed",
}
"""By route, the example that stands for its mails."""

FOLDER: Final = ROOT / "docs" / "gallery"
WIDTH: Final = 1140
PAGE: Final = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; padding: 16px; width: 1108px; display: flex; gap: 16px; align-items: start; background: #dfe3e8 }
iframe { border: 0; background: white }</style>
<iframe width="702" srcdoc="HTML"></iframe><iframe width="390" srcdoc="HTML"></iframe><script>
addEventListener("load", () => {
  for (const frame of document.querySelectorAll("iframe"))
    frame.height = Math.min(900, frame.contentDocument.documentElement.scrollHeight)
  document.title = "height " + (document.body.scrollHeight)
})</script>"""


def main() -> int:
    """Take all pictures anew. Exit status 2: there is no Chromium."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("gallery: needs Chromium on PATH; Debian: chromium", file=sys.stderr)
        return 2
    FOLDER.mkdir(exist_ok=True)
    studio = Studio()
    for route, example in examples_of(load()):
        if SHOWN.get(route.name) == example.name:
            (mail, *_) = studio.mails(route, example)
            _picture(chromium, PAGE.replace("HTML", escape(mail.rendered.html)), FOLDER / f"{route.name}.png")
            print(FOLDER / f"{route.name}.png")
    return 0


def _picture(chromium: str, page: str, to: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(page, "utf-8")
        options = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        window = f"--window-size={WIDTH},1200"
        seen = subprocess.run([*options, window, "--dump-dom", str(file)], capture_output=True, text=True, check=True)
        height = re.search(r"<title>height (\d+)</title>", seen.stdout)
        size = f"--window-size={WIDTH},{height[1] if height else 900}"
        subprocess.run([*options, size, f"--screenshot={to}", str(file)], capture_output=True, check=True)


if __name__ == "__main__":
    sys.exit(main())
