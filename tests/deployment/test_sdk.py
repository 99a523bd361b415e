"""The package has the part of the Graph SDK that Mailroom can reach."""

import ast
import re
import sysconfig
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import msgspec
import pytest

from deployment import DeploymentError
from deployment.dependencies import UNUSED
from deployment.sdk import SDK, Mentions, mentions, reachable
from sandbox.packaged import _SEALED
from shared.mail.attached_items import Event
from shared.mail.graph_types import Choice, EmailAddress, Importance
from shared.mail.model import BlobAttachment, FileAttachment, Message, SendMail
from shared.mail.sdk_message import sdk_class

ROOT = Path(__file__).parents[2]
INSTALLED = Path(sysconfig.get_path("purelib"))
SOURCES = [ROOT / "function_app.py", *sorted(ROOT.glob("shared/**/*.py"))]

TREE = {
    "msgraph/__init__.py": "from .client import Client",
    "msgraph/client.py": """
        from __future__ import annotations
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from .generated.only_typed import OnlyTyped
        class Client:
            @property
            def users(self):
                from .generated.users.users_request_builder import UsersRequestBuilder
                return UsersRequestBuilder()
            @property
            def groups(self):
                from .generated.groups.groups_request_builder import GroupsRequestBuilder
                return GroupsRequestBuilder()
        """,
    "msgraph/generated/only_typed.py": "",
    "msgraph/generated/groups/groups_request_builder.py": "",
    "msgraph/generated/users/users_request_builder.py": """
        class UsersRequestBuilder:
            def by_user_id(self, user_id):
                from .item.user_request_builder import UserRequestBuilder
                return UserRequestBuilder()
            async def get(self):
                from ..models.error import Error
                from ..models.user import User
                return self.read(User, Error)
        """,
    "msgraph/generated/users/item/user_request_builder.py": "",
    "msgraph/generated/models/error.py": """
        class Error:
            def get_field_deserializers(self):
                from .error_detail import ErrorDetail
                return {"detail": ErrorDetail}
        """,
    "msgraph/generated/models/error_detail.py": "",
    "msgraph/generated/models/entity.py": """
        class Entity:
            def create_from_discriminator_value(node):
                from .device import Device
                return Device()
        """,
    "msgraph/generated/models/user.py": """
        from .entity import Entity
        class User(Entity):
            def get_field_deserializers(self):
                from .device import Device
                return {"device": Device}
            def serialize(self, writer):
                from .address import Address
                writer.write(Address)
        """,
    "msgraph/generated/models/address.py": "",
    "msgraph/generated/models/device.py": "",
    "msgraph/generated/models/file_attachment.py": "from .entity import Entity",
}


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(re.sub(r"^ {8}", "", text, flags=re.MULTILINE))
    return tmp_path


def kept(installed: Path, source: str) -> set[str]:
    """The names of the modules that a Mailroom consisting of this source can reach, without those of the client."""
    own = installed / "own.py"
    own.write_text(source)
    found = {path.with_suffix("").as_posix().replace("/", ".") for path in reachable(installed, mentions([own]))}
    assert {"msgraph.__init__", "msgraph.client"} <= found
    return {name.removeprefix("msgraph.generated.") for name in found if name.startswith("msgraph.generated.")}


USERS = {"users.users_request_builder", "models.error", "models.error_detail", "models.user", "models.entity",
         "models.address"}  # fmt: skip
FILE_ATTACHMENT = {"models.file_attachment", "models.entity"}


@pytest.mark.parametrize(
    ("mention", "modules"),
    [
        ("", set()),  # a builder that is mentioned nowhere
        # A mention leads to a builder, its models and what serializes them; not to what reads an Entity, which imports
        # every model there is. Other answers can be read.
        ("Client().users", USERS),
        ("getattr(Client(), 'users')", USERS),
        # Each step of a path has to be mentioned.
        ("Client().by_user_id", set()),
        ("Client().users.by_user_id('a')", USERS | {"users.item.user_request_builder"}),
        ("import_module('msgraph.generated.models.device')", {"models.device"}),
        ("import msgraph.generated.models.device", {"models.device"}),
        ("from msgraph.generated.models import device", {"models.device"}),
        ("if TYPE_CHECKING:\n    from msgraph.generated.models.device import Device", {"models.device"}),
        # Of a composed name whatever fits; and models with the name of a class of Mailroom's.
        ("import_module(f'msgraph.generated.models.{kind}_attachment')", FILE_ATTACHMENT),
        ("import_module(f'msgraph.generated.{path}_attachment')", FILE_ATTACHMENT),
        ("class FileAttachment: ...", FILE_ATTACHMENT),
    ],
)
def test_what_a_mention_leads_to_is_kept_and_nothing_else(installed: Path, mention: str, modules: set[str]) -> None:
    assert kept(installed, f"from msgraph.client import Client\n{mention}") == modules


def test_an_sdk_of_which_nothing_is_found_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="Nothing of msgraph can be reached"):
        reachable(tmp_path, Mentions(modules={"msgraph.client"}))


@cache
def files() -> set[PurePosixPath]:
    return reachable(INSTALLED, mentions(SOURCES))


def test_every_class_of_the_wire_model_has_its_model_in_the_small_part_that_is_kept() -> None:
    """Their names are composed while a mail is sent."""
    assert len(files()) < 300  # of more than 15,000
    classes = wire_classes() - {SendMail, BlobAttachment}  # the request, and Mailroom's own kind of attachment
    assert {Message, FileAttachment, Event, Importance, EmailAddress} <= classes
    modules = {sdk_class(wire).__module__ for wire in classes}
    assert not [name for name in modules if PurePosixPath(*name.split(".")).with_suffix(".py") not in files()]


def wire_classes() -> set[type]:
    """Every struct and choice that can be part of a mail."""
    found: set[type] = set()
    todo: list[Any] = [SendMail]
    while todo:
        each = todo.pop()
        if not isinstance(each, type) or get_args(each):
            todo += get_args(each)
        elif issubclass(each, msgspec.Struct | Choice) and each not in found:
            found.add(each)
            todo += [field.type for field in msgspec.structs.fields(each)] if issubclass(each, msgspec.Struct) else []
    return found


def test_whatever_mailroom_imports_from_the_sdk_is_kept() -> None:
    imports = re.compile(r"^\s*(?:from|import) (msgraph\.[\w.]+)", re.MULTILINE)
    named = {name for source in SOURCES for name in imports.findall(source.read_text())}
    modules = {PurePosixPath(*name.split(".")).with_suffix(".py") for name in named}
    assert len(modules) > 5
    assert not [module for module in modules if (INSTALLED / module).is_file() and module not in files()]


def test_mailroom_never_lets_the_sdk_read_an_answer() -> None:
    """What reads entities is left out: each request takes its answer unread, or has none."""
    readers = {"create_from_discriminator_value", "get_object_value", "get_collection_of_object_values"}
    used = {node.attr for source in SOURCES for node in ast.walk(ast.parse(source.read_text()))
            if isinstance(node, ast.Attribute)}  # fmt: skip
    assert not used & readers


def test_the_sandbox_ends_when_a_missing_module_is_requested() -> None:
    assert set(_SEALED) == {SDK, *UNUSED}
