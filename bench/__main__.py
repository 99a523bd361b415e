"""`python -m bench PART…`: measure, and print what was found as Markdown; with --record, into bench/RESULTS.md too."""

import argparse
import re
import signal
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from bench.machine import this_machine

PARTS = (
    *("startup", "path", "memory", "mail", "alert", "mailboxes", "pace"),
    *("burst", "backlog", "others", "slow", "readers"),
)
RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"some of {', '.join(PARTS)}; none: all")
    parser.add_argument("--quick", action="store_true", help="few mails and rounds: whether it runs, no measurement")
    parser.add_argument("--record", action="store_true", help="write the numbers into bench/RESULTS.md")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended too
    if unknown := set(given.part) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for part in given.part or PARTS:
        lines = [f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {this_machine()}.", ""]
        print(f"## {part}\n\n{lines[0]}\n", flush=True)
        for line in import_module(f"bench.{part}").measure(quick=given.quick):
            print(line, flush=True)
            lines.append(line)
        if given.record and not given.quick:
            record(part, lines)
    return 0


def record(part: str, lines: list[str]) -> None:
    """Put these lines between the part's marks."""
    marks = re.compile(rf"(<!-- {part} -->\n).*?(<!-- end of {part} -->\n)", re.DOTALL)
    text = RESULTS.read_text("utf-8")
    if not marks.search(text):
        raise SystemExit(f"{RESULTS} has no marks for {part}.")
    body = "\n".join(lines) + "\n"
    RESULTS.write_text(marks.sub(lambda found: found[1] + body + found[2], text), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
