"""What can be known to keep the sandbox from starting before anything is started."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox import ports
from sandbox.environment import unmet
from sandbox.options import Options
from sandbox.parts import missing


@dataclass(frozen=True, slots=True)
class FixedPort:
    """A port that is not left to chance: the part it is for, what that does there, and the option that moves it."""

    number: int
    part: str
    use: str
    option: str


def fixed_ports(options: Options) -> list[FixedPort]:
    """Every port that is to be used as it is, of all parts, also of those that are left out."""
    blobs = options.storage_port
    wishes = [
        FixedPort(blobs, "storage", "storage (blobs)", "--storage-port"),
        FixedPort(blobs and blobs + 1, "storage", "storage (queues)", "--storage-port"),
        FixedPort(blobs and blobs + 2, "storage", "storage (tables)", "--storage-port"),
        FixedPort(options.mail_port, "mail", "mail (in the browser)", "--mail-port"),
        FixedPort(options.smtp_port, "mail", "mail (SMTP)", "--smtp-port"),
        FixedPort(options.graph_port, "graph", "graph", "--graph-port"),
        FixedPort(options.port, "host", "host", "--port"),
    ]
    return [port for port in wishes if port.number]


def obstacles(
    options: Options, names: Sequence[str], commands: Mapping[str, tuple[str, ...]], environ: Mapping[str, str]
) -> list[str]:
    """Say what the parts `names` lack: settings, programs, ports that are in use or asked for twice."""
    found = [f"--only host needs {name} in the environment." for name in unmet(options, environ)]
    found += [f"{name}: {lacking}" for name in names if (lacking := missing(commands[name]))]
    taken: dict[int, str] = {}
    for port in fixed_ports(options):
        if port.part not in names:
            continue
        what = f"Port {port.number} for {port.use}"
        if other := taken.get(port.number):
            found.append(f"{what} is asked for {other} too. Another {port.option} keeps them apart.")
        elif reason := ports.why_not(port.number):
            found.append(f"{what} is {reason}. {port.option} N takes another one, {port.option} 0 any free one.")
        taken.setdefault(port.number, port.use)
    return found
