"""The words by which programs report a state or a severity, and the colour of each.

Such a word counts only under a name that stands for a state or a severity, so a mail has a badge only if the event
proves it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.webhooks.rendering.filters import words


def _tones(**every: str) -> Mapping[str, str]:
    return {word: tone for tone, given in every.items() for word in given.split()}


_STATES: Final = _tones(
    critical="""
        alarm alert alerting bounced breached broken crashed crit critical dead denied disaster emergency error
        down errored expired fail failed failing failure fatal fired firing offline outage p1 p2 rejected sev0 sev1
        timedout timeout trigger triggered undelivered unhealthy unreachable
    """,
    warning="""
        aborted canceled cancelled degraded nodata overdue p3 partial paused sev2 suspended throttled unknown unstable
        warn warning
    """,
    ok="""
        approved cleared complete completed delivered fixed green healthy merged normal ok online operational paid pass
        passed ready recover recovered recovery resolve resolved restored succeeded success successful up
    """,
    info="""
        acknowledge acknowledged activated active building close closed create created deleted dismissed draft
        identified inactive info information inprogress investigating monitoring new notice open opened p4 p5 pending
        processing progress queued reopened running scheduled sev3 sev4 sev5 started starting stopped terminated update
        updated waiting
    """,
)
# How bad, and not whether it is over.
_SEVERITIES: Final = _tones(
    critical="blocker critical disaster emergency error fatal high major p1 p2 severe",
    warning="average medium minor moderate p3 warn warning",
    info="debug info information informational low none normal notice ok p4 p5",
)
_STATE_NAMES: Final = re.compile(
    r"(?:status|state|result|outcome|conclusion|health|phase|transition|alert|alerttype|action|verdict|friendlyname|"
    r"event|type|kind|statevalue|indicator)$"
)
_TYPE_NAMES: Final = re.compile(r"(?:event|type|kind|action)$")
_SEVERITY_NAMES: Final = re.compile(r"(?:severity|level|priority|criticality|urgency|impact)$")
# By the name of a yes or no: what each says; "": nothing.
_TRUTHS: Final = {
    "success": ("Succeeded", "Failed"), "succeeded": ("Succeeded", "Failed"), "ok": ("OK", "Failed"),
    "passed": ("Passed", "Failed"), "healthy": ("Healthy", "Unhealthy"), "up": ("Up", "Down"),
    "online": ("Online", "Offline"), "resolved": ("Resolved", ""), "failed": ("Failed", ""), "down": ("Down", ""),
}  # fmt: skip
# How something was, is to be, or how something else is.
_NOT_NOW: Final = re.compile(
    r"previous|prior(?!ity)|former|before|expected|desired|wanted|required|target|initial|default|notify|upstream|"
    r"depend|parent|^(?:prev|old|last|from|original)"
)
_ABBREVIATIONS: Final = frozenset({"ok", "p1", "p2", "p3", "p4", "p5"})
_DONE: Final = frozenset({"acknowledge", "close", "create", "fail", "recover", "resolve", "trigger", "update"})
LONGEST_WORD: Final = 40  # characters of a value; the words are shorter


@dataclass(frozen=True, slots=True)
class Status:
    """label: for the badge. state: without how bad it is; "" where nothing says it. keys: names of values that do."""

    label: str
    tone: str
    state: str
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    tone: str
    key: str


def status_of(named: Iterable[tuple[str, Any]]) -> Status | None:
    """What these values, the closest first, say about how something is; None: nothing.

    named: names in lower case without signs, and values. A state has the first word; a severity adds how bad it is,
    unless it is over.
    """
    pairs = [(name, value) for name, value in named if is_now(name)]
    states = [word for name, value in pairs if (word := _state(name, value))]
    # A state says more than the last word of a type, "incident.triggered".
    state = next((word for word in states if not _TYPE_NAMES.search(word.key)), states[0] if states else None)
    severity = next((word for name, value in pairs if (word := _severity(name, value))), None)
    keys = frozenset(word.key for word in (state, severity) if word)
    if state and (severity is None or state.tone == "ok" or _plain(state.text) == _plain(severity.text)):
        return Status(state.text, state.tone, state.text, keys)
    if severity is None:
        return None
    if state is None:
        return Status(severity.text, severity.tone, "", keys)
    tone = severity.tone if state.tone in ("critical", "warning") else state.tone
    return Status(f"{state.text} · {severity.text}", tone, state.text, keys)


def is_now(name: str) -> bool:
    """Whether a value, by its name in lower case without signs, is about how things are: not "previousstatus"."""
    return not _NOT_NOW.search(name)


def _state(name: str, value: Any) -> _Word | None:
    """The value, or its last part, "incident.triggered", if it is the word of a state."""
    if isinstance(value, str) and name in _TRUTHS and value.strip().lower() in ("true", "false"):
        value = value.strip().lower() == "true"
    if isinstance(value, bool):
        said = _TRUTHS.get(name, ("", ""))[not value]
        return _Word(said, _STATES[_plain(said)], name) if said else None
    if not isinstance(value, str) or len(value) > LONGEST_WORD or not _STATE_NAMES.search(name):
        return None
    last = re.split(r"[.:/]", value.strip())[-1]
    tone = _STATES.get(_plain(last))
    return _Word(_label(last), tone, name) if tone else None


def _severity(name: str, value: Any) -> _Word | None:
    if not isinstance(value, str) or len(value) > LONGEST_WORD or not _SEVERITY_NAMES.search(name):
        return None
    tone = _SEVERITIES.get(_plain(value))
    return _Word(_label(value), tone, name) if tone else None


def _plain(value: str) -> str:
    return re.sub(r"[\W_]+", "", value).lower()


def _label(value: str) -> str:
    """A word for people. What was done, "resolve", is over: "Resolved"."""
    if (plain := _plain(value)) in _DONE:
        return plain.capitalize() + ("d" if plain.endswith("e") else "ed")
    text = re.sub(r"^[\W_]+|[\W_]+$", "", value)
    return text.upper() if plain in _ABBREVIATIONS else words(text).capitalize()
