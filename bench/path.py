"""The path of a mail: how many functions and modules of Mailroom stand between the trigger and the request to Graph.

Of one warm mail over HTTP. It is what a reader has to follow, and a debugger to step through; bench/programs/path.py
follows it with sys.setprofile.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from bench.machine import table
from bench.rig import ask, mail, mailroom
from tests.e2e.running import ROOT


def measure(*, quick: bool) -> Iterator[str]:  # noqa: ARG001 - it is as quick as can be
    with mailroom() as sandbox:
        question = {"app": str(ROOT), "path": sandbox.sender, "token": sandbox.token(), "body": mail("followed")}
        begun = ask("path.py", question, **sandbox.facts["environment"])["begun"]
    modules = [module for module, _ in begun]
    delivery = next(at for at, module in enumerate(modules) if module.startswith("shared.delivery."))
    graph = modules.index("shared.graph.send") + 1
    yield "Of one warm mail over HTTP, functions and modules of `shared`; a switch: the next call is in another module."
    yield ""
    head = ("from … to …", "functions", "modules", "module switches", "calls")
    yield from table(
        head,
        [
            ("the trigger, the HTTP client that asks Graph", *_counted(begun)),
            ("the first function of delivery, `graph.send`", *_counted(begun[delivery:graph])),
        ],
    )


def _counted(begun: Sequence[Sequence[str]]) -> tuple[str, ...]:
    modules = [module for module, _ in begun]
    switches = sum(before != after for before, after in pairwise(modules))
    return tuple(map(str, (len({tuple(one) for one in begun}), len(set(modules)), switches, len(begun))))
