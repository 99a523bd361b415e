"""The command line of `python -m sandbox`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.loop import LOOPS, Loop, chosen

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""

PARTS = ("storage", "mail", "graph", "host")
"""Every part, in the order in which they start."""

_ABOUT = """\
Mailroom on this machine, with no Azure account: the functions host, a Graph and managed-identity emulator, Azurite for
storage, and MailDev, which shows every mail in the browser. Everything listens on 127.0.0.1 only."""

_ENVIRONMENT = """\
environment:
  What is set from outside replaces that part or setting:
    AzureWebJobsStorage (or AzureWebJobsStorage__…)   Azurite is not started
    GRAPH_BASE_URL and IDENTITY_ENDPOINT together     the emulator is not started, and so no MailDev,
                                                      which gets its mails from the emulator alone
    MAIL_…, AZURE_CLIENT_ID and every other setting   wins over the sandbox's own value

exit status: 0 ended by Ctrl-C or SIGTERM · 1 a part died · 2 wrong settings, wrong options, or a port in use"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for. A port of 0 means any free one; faults are the emulator's own arguments."""

    port: int
    graph_port: int
    mail_port: int
    smtp_port: int
    storage_port: int
    without: Sequence[str]
    only: str | None
    app: Path
    data: Path | None
    queue_lease: int | None
    loop: Loop
    tls: bool
    json: bool
    verbose: int
    faults: tuple[str, ...]
    host_name: Sequence[str] = ()


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line (sys.argv when None); what is wrong is said on stderr and ends the program with 2."""
    given = vars(_parser().parse_args(arguments))
    faults = [word for fault in given.pop("fault") for word in ("--fault", fault)]
    for name in ("seed", "latency", "concurrency", "sent_delay"):
        value = given.pop(name)
        if value is not None:
            faults += ["--" + name.replace("_", "-"), str(value)]
    return Options(**given, faults=tuple(faults))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description=_ABOUT,
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )

    ports = parser.add_argument_group("ports", "0 takes any free one")
    ports.add_argument("--port", type=_port, default=7071, metavar="N", help="functions host (7071)")
    ports.add_argument("--graph-port", type=_port, default=7072, metavar="N", help="Graph and identity (7072)")
    ports.add_argument("--mail-port", type=_port, default=1080, metavar="N", help="MailDev in the browser (1080)")
    ports.add_argument("--smtp-port", type=_port, default=1025, metavar="N", help="MailDev's SMTP (1025)")
    ports.add_argument(
        "--storage-port",
        type=_storage_port,
        default=10000,
        metavar="N",
        help="blobs; queues and tables are on the next two (10000)",
    )

    parts = parser.add_argument_group("parts")
    parts.add_argument(
        "--without",
        action="append",
        default=[],
        choices=[part for part in PARTS if part != "host"],
        help="leave this part out; may be given again (without graph there is no mail either)",
    )
    parts.add_argument(
        "--only",
        choices=["host"],
        help="just another host, on the storage and Graph that the environment names: "
        "`environment` of the --json line has all it needs",
    )
    parts.add_argument(
        "--app",
        type=_folder,
        default=ROOT,
        metavar="DIR",
        help="the functions app (this checkout); one with .python_packages runs on them alone, as in Azure",
    )
    parts.add_argument("--data", type=_resolved, metavar="DIR", help="keep Azurite's data here (else gone at the end)")
    parts.add_argument(
        "--queue-lease", type=lease, metavar="SECONDS", help="how long a taken queue message is hidden (600)"
    )
    parts.add_argument(
        "--host-name",
        action="append",
        default=[],
        metavar="NAME",
        help="the host answers under this name too, that of a tunnel say; else under loopback's names only",
    )
    parts.add_argument("--loop", choices=LOOPS, default=chosen(), help="event loop of functions (uvloop, as in Azure)")
    parts.add_argument("--tls", action="store_true", help="serve the host over https, certificate made at start")
    parts.add_argument("--json", action="store_true", help="print one line of JSON when all is ready, nothing else")

    parts.add_argument(
        "--verbose", action="count", default=0, help="log what Azure would; twice: with every request to storage"
    )

    faults = parser.add_argument_group("faults of Graph", "explained by python -m sandbox.cloud --help")
    faults.add_argument("--fault", action="append", default=[], metavar="SPEC", help="may be given again")
    faults.add_argument("--seed", type=int, metavar="N", help="makes random faults repeatable")
    faults.add_argument("--latency", type=seconds, metavar="SECONDS", help="added to every answer")
    faults.add_argument("--concurrency", type=count, metavar="N", help="requests of a mailbox at a time")
    faults.add_argument("--sent-delay", type=seconds, metavar="SECONDS", help="until a mail is in Sent Items")
    return parser


def _port(text: str) -> int:
    return _whole(text, 0, 65535)


def _storage_port(text: str) -> int:
    return _whole(text, 0, 65533)


def lease(text: str) -> int:
    return _whole(text, 1, 7 * 24 * 60 * 60)  # the storage service takes no more


def count(text: str) -> int:
    return _whole(text, 1, 1_000_000)


def _whole(text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from {low} to {high}")
    return int(text)


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number of seconds")
    return number


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a folder")
    return _resolved(text)


def _resolved(text: str) -> Path:
    return Path(text).resolve()
