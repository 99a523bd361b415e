"""The names that senders use for values that tell something, for envelopes, and for values that only programs read."""

import re
from collections.abc import Mapping
from typing import Any, Final

LONGEST_NAME: Final = 60  # characters of a value's name
LONGEST_ACRONYM: Final = 4  # letters
LONGEST_PARENT: Final = 30  # characters

# Names, without signs and in lower case. Titles in the order in which they are preferred.
TITLES: Final = ("title", "headline", "issuetitle", "summary", "subject", "alarmname", "alertname", "rulename")
NAMES: Final = (
    "name", "displayname", "monitorname", "monitorfriendlyname", "checkname", "jobname", "message", "text", "msg",
)  # fmt: skip
TEXTS: Final = (
    "description",
    "shortdescription",
    "body",
    "details",
    "content",
    "reason",
    "error",
    "errormessage",
    "info",
    "output",
)
# Objects that an event is about, or that are around it.
THINGS: Final = (
    "issue", "incident", "alert", "alertgroup", "problem", "monitor", "check", "pullrequest", "build", "pipeline",
    "workflow", "job", "task", "run", "deployment", "order", "invoice", "ticket", "card", "item", "record",
)  # fmt: skip
ENVELOPES: Final = (
    "data", "event", "eventdata", "payload", "body", "objectattributes", *THINGS, "notification", "detail", "details",
    "object", "message", "resource", "content", "result", "push", "pushdata", "fields", "attributes", "params",
    "entity", "context",
)  # fmt: skip
# Who or where, never what.
BESIDE: Final = re.compile(
    r"(?:user|sender|actor|agent|author|owner|creator|assignee|requester|customer|account|org|organization|team|company|"
    r"repository|repo|project|pusher|committer|service|host|source|app|meta|policy|server|space|page|channel|rule|"
    r"board|model|manager|decoder|method|by)$"
)
UNTOLD: Final = re.compile(r"(?:webhook|hook|installation|subscription|integration|signature|workspace)$")
LINKS: Final = re.compile(r"(?:links|urls)$")
NAMED_BY: Final = (
    "displayname", "fullname", "pathwithnamespace", "repofullname", "reponame", "name", "title", "summary", "login",
    "username", "friendlyname", "nickname", "email", "key", "value",
)  # fmt: skip
PAIR: Final = frozenset({"name", "title", "key", "label", "value", "short", "inline", "type"})
SAME_LEVEL: Final = frozenset({"labels", "annotations", "fields", "attributes", "metadata", "details", "tags", "extra"})
FOR_PROGRAMS: Final = re.compile(
    r"(?:^|[a-z])(?:uuid|guid|sha|sha1|sha256|hash|md5|etag|checksum|digest|signature|fingerprint|nonce|cursor|arn|"
    r"groupkey|apiversion|specversion|schemaversion|signatureversion|schema|type|kind|color|inline|private|fork|archived|defaultbranch|timezone)$"
    r"|^(?:self|object)$|avatar|icon|emoji|thumbnail|signing|unsubscribe"
)
_ID: Final = re.compile(r"(?:^|[_\-. ])(?:id|ids|iid|sid)$|[a-z0-9](?:Id|ID|Ids|IDs|Sid|SID)$|^(?:ID|Id)$", re.ASCII)
ADDRESS_NAME: Final = re.compile(r"(?:url|uri|href|link|links|webhook)$")
_PLAIN_SIGNS: Final = re.compile(r"[\W_]+")
WORD_ENDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s_.:/-]+")


def words_of(name: str) -> str:
    """A name as words: "jobName" is "Job name", "SCANNING_COMPLETED" is "Scanning completed"."""
    name = name[:LONGEST_NAME].lower() if name.isupper() and len(name) > LONGEST_ACRONYM else name[:LONGEST_NAME]
    text = " ".join(part if part.isupper() else part.lower() for part in WORD_ENDS.split(name) if part)
    return text[:1].upper() + text[1:]


def plain_name(name: str) -> str:
    return _PLAIN_SIGNS.sub("", name[:LONGEST_NAME]).lower()


def parent_of(name: str) -> str:
    return words_of(name) if len(name) <= LONGEST_PARENT else ""


def for_programs(name: str, plain: str) -> bool:
    return bool(FOR_PROGRAMS.search(plain) or _ID.search(name))


def pair_in(item: Any) -> tuple[str, Any] | None:
    """A name and its value: {"name": "Host", "value": "web-1"} or ["Host", "web-1"]."""
    name: Any = None
    value: Any = None
    if isinstance(item, list) and len(item) == len(("name", "value")):
        name, value = item
    elif isinstance(item, Mapping) and len(item) <= len(PAIR):
        given = {plain_name(str(key)): one for key, one in item.items()}
        if not given.keys() <= PAIR:
            return None
        name = next((one for key in ("name", "title", "key", "label") if isinstance(one := given.get(key), str)), None)
        value = given.get("value")
    is_pair = isinstance(name, str) and value is not None and not isinstance(value, list | Mapping)
    return (name, value) if is_pair else None
