"""Start-up: what Azure's worker library needs to index the app, and what the first mail after that costs.

The host is not part of it: bench/programs/index.py drives the library as the host does. The ways are measured in turn,
each time in a new process; the medians of all rounds are given. Every app is byte-compiled before, as the package is
that Azure runs.
"""

import compileall
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from bench.machine import median, table
from bench.rig import APPS, ask, mail, mailroom
from tests.e2e.running import ROOT, Sandbox

ROUNDS = 9


def measure(*, quick: bool) -> Iterator[str]:
    rounds = 2 if quick else ROUNDS
    for folder in (ROOT / "shared", APPS):
        compileall.compile_dir(folder, quiet=1)
    compileall.compile_file(ROOT / "function_app.py", quiet=1)
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with mailroom() as sandbox:
        sandbox.send(mail("makes the tables and the queues"))
        for _ in range(rounds):
            runs["empty"].append(_index(sandbox, APPS / "empty"))
            runs["mailroom"].append(_index(sandbox, ROOT))
            runs["plain"].append(_index(sandbox, APPS / "plain"))
            runs["mailroom, first"].append(_index(sandbox, ROOT, send=True))
            runs["plain, first"].append(_index(sandbox, APPS / "plain", send=True))
            runs["script"].append(_script(sandbox))

    def of(name: str, *path: str) -> float:
        def one(run: Any) -> float:
            for key in path:
                run = run[key]
            return float(run)

        return median(one(run) for run in runs[name])

    empty = of("empty", "index", "cpu")
    yield f"Indexing (worker init and function metadata), medians of {rounds} processes each:"
    yield ""
    apps = (("empty", "an empty app of one function"), ("mailroom", "Mailroom"), ("plain", "a function with the SDK"))
    yield from table(
        ("app", "wall, ms", "CPU, ms", "CPU, times the empty app", "modules imported", "peak memory, MiB"),
        [
            (
                text,
                f"{of(name, 'index', 'wall') * 1000:.0f}",
                f"{of(name, 'index', 'cpu') * 1000:.0f}",
                f"{of(name, 'index', 'cpu') / empty:.2f}",
                f"{of(name, 'index', 'modules'):.0f}",
                f"{of(name, 'peak'):.0f}",
            )
            for name, text in apps
        ],
    )
    script = of("script", "first", "cpu")
    script_wall = of("script", "first", "wall")
    yield ""
    yield (
        "First mail, from the call of the function (the script: from its first line, imports and all) to Graph's 202, "
        f"medians of {rounds} processes each; `whole process` counts from the start of the interpreter, indexing too:"
    )
    yield ""
    rows = [
        (
            "a bare script with the SDK",
            f"{script_wall * 1000:.0f}",
            f"{script * 1000:.0f}",
            "1.00",
            "1.00",
            f"{script * 1000:.0f}",
            f"{of('script', 'peak'):.0f}",
        )
    ]
    for name, text in (("mailroom, first", "Mailroom, over HTTP"), ("plain, first", "a function with the SDK")):
        wall, spent = of(name, "first", "wall"), of(name, "first", "cpu")
        rows.append(
            (
                text,
                f"{wall * 1000:.0f}",
                f"{spent * 1000:.0f}",
                f"{spent / script:.2f}",
                f"{wall / script_wall:.2f}",
                f"{of(name, 'cpu') * 1000:.0f}",
                f"{of(name, 'peak'):.0f}",
            )
        )
    head = ("what", "wall, ms", "CPU, ms", "CPU, times", "wall, times", "CPU, whole process, ms", "peak, MiB")
    yield from table(head, rows)


def _index(sandbox: Sandbox, app: Any, *, send: bool = False) -> dict[str, Any]:
    question = {"app": str(app), "send": send, "path": sandbox.sender, "token": "", "body": mail("first")}
    if send:
        question["token"] = sandbox.token()
    found: dict[str, Any] = ask("index.py", question, **sandbox.facts["environment"])
    return found


def _script(sandbox: Sandbox) -> dict[str, Any]:
    names = ("GRAPH_BASE_URL", "IDENTITY_ENDPOINT", "IDENTITY_HEADER")
    settings = {name: sandbox.facts["environment"][name] for name in names}
    question = {"how": "sdk", "count": 1, "at_a_time": 1, "warm": 0}
    found: dict[str, Any] = ask("bare.py", question, SENDER=sandbox.sender, **settings)
    return found
