"""What the tests of webhooks share."""

from collections.abc import Iterator
from typing import Any

import pytest
from jinja2.bccache import Bucket, BytecodeCache

from shared.webhooks.rendering.environment import TemplateSandbox


class CompiledTemplates(BytecodeCache):
    """Compiled templates of all renderers in this process: compiling takes most of the time of most tests."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if (code := self.kept.get(bucket.key + bucket.checksum)) is not None:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.kept[bucket.key + bucket.checksum] = bucket.bytecode_to_string()


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    made, cache = TemplateSandbox.__init__, CompiledTemplates()

    def make(self: TemplateSandbox, *arguments: Any) -> None:
        made(self, *arguments)
        self.bytecode_cache = cache

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TemplateSandbox, "__init__", make)
        yield
