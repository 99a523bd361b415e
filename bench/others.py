"""Others side by side: Apprise's Office 365 plugin, python-o365, a plain function with the SDK's defaults, and us.

Each sends so many mails, one after the other, each once: what a library does about a failure is its own business. The
first two are programs with environments of their own in .bench, made with uv. The plain function (apps/plain) and
Mailroom are asked over HTTP by a client that never repeats a request; their CPU is the worker's, the sandbox host's
share taken off (see mail.py).
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.machine import cpu, median, table
from bench.rig import ask, empty_host, load, mail, mailroom
from sandbox.cloud.directory import CALLER_CLIENT_ID, TENANT
from tests.e2e.running import ROOT, Sandbox, eventually

ROUNDS, MAILS, FAULTY, WARM = 3, 200, 300, 10
ENVIRONMENTS = {"apprise": "apprise==2.3.0", "o365": "O365==2.1.10"}
NAMES = {
    "apprise": f"Apprise's Office 365 plugin ({ENVIRONMENTS['apprise']})",
    "o365": f"python-o365 ({ENVIRONMENTS['o365']})",
    "plain": "a plain function with the SDK's defaults",
    "mailroom": "Mailroom, over HTTP",
}
# What becomes of requests, by chance: 10 % are throttled; 8 % are refused for now; 8 % lose their answer, of which five
# have been accepted; 2 % are cut off before.
FAULTS = {
    "throttle": 0.1,
    "unavailable": 0.06,
    "html502": 0.02,
    "gateway_timeout": 0.03,
    "lost": 0.02,
    "gateway_timeout_lost": 0.03,
    "dropped": 0.02,
}
SEED = "4711"
# So that what may have gone is looked at within seconds, not minutes.
QUICK = {"MAIL_SEND_TIMEOUT": "2", "MAIL_LEASE_MARGIN": "1", "MAIL_VERIFY_DELAYS": "0.5 1 2"}


def measure(*, quick: bool) -> Iterator[str]:
    rounds, mails, faulty = (1, 20, 40) if quick else (ROUNDS, MAILS, FAULTY)
    pythons = {how: _environment(how, needed) for how, needed in ENVIRONMENTS.items()}
    spent: dict[str, list[float]] = {how: [] for how in NAMES}
    with mailroom() as sandbox, empty_host(sandbox, "empty") as empty, empty_host(sandbox, "plain") as plain:
        for number in range(rounds):
            run = f"calm {number}"
            for how, python in pythons.items():
                spent[how].append(_others(sandbox, how, python, run, mails)["cpu"] / mails)
            host = _by_http(empty, "host", mails)
            spent["plain"].append((_by_http(plain, run, mails) - host) / mails)
            spent["mailroom"].append((_by_http(sandbox, run, mails) - host) / mails)
    yield f"Without faults; medians of {rounds} rounds of {mails} mails:"
    yield ""
    rows = [(NAMES[how], f"{median(found) * 1000:.1f}", f"{1 / median(found):.0f}") for how, found in spent.items()]
    yield from table(("what", "CPU, ms a mail", "mails a CPU second"), rows)
    yield ""
    mix = ", ".join(f"{kind} {share:.0%}" for kind, share in FAULTS.items())
    yield f"{faulty} mails, of whose requests by chance (seed {SEED}) fail: {mix}."
    yield ""
    head = ("what", "sent once", "doubled", "not sent", "said to have failed", "lost: said to be sent and not")
    yield from table(head, [_under_faults(how, pythons.get(how, ""), faulty) for how in NAMES])


def _under_faults(how: str, python: str, mails: int) -> tuple[str, ...]:
    faults = [option for kind, share in FAULTS.items() for option in ("--fault", f"{kind}={share}")]
    with mailroom("--concurrency", "64", "--seed", SEED, *faults, **QUICK) as sandbox:
        if how == "mailroom":
            failed = _mailroom_under_faults(sandbox, mails)
        elif how == "plain":
            with empty_host(sandbox, "plain") as plain:
                failed = _refused(plain, mails)
        else:
            failed = int(_others(sandbox, how, python, "faulty", mails)["failed"])
        times = Counter(subject for subject in sandbox.subjects() if subject.startswith("faulty "))
    once, missing = sum(n == 1 for n in times.values()), mails - len(times)
    doubled = len(times) - once
    lost = max(0, missing - failed)
    return NAMES[how], str(once), str(doubled), str(missing), str(failed), str(lost)


def _mailroom_under_faults(sandbox: Sandbox, mails: int) -> int:
    """How many mails it refused or gave up. Waits until nothing waits any more."""
    refused = _refused(sandbox, mails)
    eventually(lambda: sandbox.count("mail-work") == 0, 300)
    found = [
        len(sandbox.operator("GET", f"?state={state}&top=1000").json()["messages"]) for state in ("failed", "review")
    ]
    return refused + sum(found)


def _refused(host: Sandbox, mails: int) -> int:
    """Ask a host for so many mails; how many it said it could not send."""
    url, headers = _request(host)
    statuses = load([url], json.dumps(mail("faulty {n}")), mails, 1, headers, may_fail=True)["statuses"]
    return sum(number for status, number in statuses.items() if not status.startswith("2"))


def _by_http(host: Sandbox, run: str, mails: int) -> float:
    """Processor seconds of a host for so many mails."""
    url, headers = _request(host)
    load([url], json.dumps(mail("warm {n}")), WARM, 1, headers)
    before = cpu(int(host.facts["pids"]["host"]))
    load([url], json.dumps(mail(f"{run} {{n}}")), mails, 1, headers)
    return cpu(int(host.facts["pids"]["host"])) - before


def _request(host: Sandbox) -> tuple[str, dict[str, str]]:
    return f"{host.api}/users/{host.sender}/sendMail", {"Authorization": f"Bearer {host.token()}"}


def _others(sandbox: Sandbox, how: str, python: str, run: str, mails: int) -> dict[str, Any]:
    names = ("GRAPH_BASE_URL", "IDENTITY_ENDPOINT", "IDENTITY_HEADER")
    settings = {name: sandbox.facts["environment"][name] for name in names}
    settings |= {"SENDER": sandbox.sender, "TENANT": TENANT, "CLIENT": CALLER_CLIENT_ID}
    question = {"how": how, "run": run, "count": mails, "warm": WARM}
    found: dict[str, Any] = ask("others.py", question, python, **settings)
    return found


def _environment(name: str, needed: str) -> str:
    """The interpreter of an environment with this package, made on first use."""
    folder = ROOT / ".bench" / needed
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        uv = str(Path(sys.executable).with_name("uv"))
        print(f"Setting up {name} in {folder}", file=sys.stderr)
        subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder)], check=True)  # noqa: S603
        subprocess.run([uv, "pip", "install", "-q", "--python", str(python), needed], check=True)  # noqa: S603
        (folder / ".ready").touch()
    return str(python)
