"""The OpenAPI document is made of the code, has all of its surface, and stands in docs/ as it is served."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs

from deployment.openapi.document import document, text
from deployment.openapi.surface import OPERATIONS
from shared.mail.parse import send_mail

ROOT = Path(__file__).parents[2]
INDEXED = """
import json, function_app
triggers = [(function.get_function_name(), function.get_trigger()) for function in function_app.app.get_functions()]
print(json.dumps([
    (name, str(method.value), trigger.route, trigger.auth_level.value.lower())
    for name, trigger in triggers if trigger.type == "httpTrigger" for method in trigger.methods
]))
"""
LEVELS = {"open": "anonymous", "token": "anonymous", "key": "function"}


def test_the_committed_document_is_the_one_that_the_code_makes() -> None:
    """`python -m deployment.openapi.document` writes it anew."""
    assert (ROOT / "docs" / "openapi.json").read_text() == text()


def test_every_http_function_is_described_and_nothing_else_is() -> None:
    """By name, method, path, and whether it takes a function key."""
    result = subprocess.run([sys.executable, "-c", INDEXED], cwd=ROOT, capture_output=True, text=True, check=True)
    indexed = {tuple(row) for row in json.loads(result.stdout.splitlines()[-1])}
    described = [(row.function, row.method, row.path, LEVELS[row.access]) for row in OPERATIONS]
    assert len(described) == len(set(described))
    assert set(described) == indexed


def test_a_path_names_its_parameters() -> None:
    for row in OPERATIONS:
        named = {part[1:-1] for part in row.path.split("/") if part.startswith("{")}
        assert named == {parameter.name for parameter in row.parameters if parameter.place == "path"}, row.path


def test_the_document_is_openapi_and_each_schema_is_json_schema() -> None:
    import schemathesis  # takes half a second

    whole = document()
    schemathesis.openapi.from_dict(whole).validate()
    schemas = whole["components"]["schemas"]
    for schema in schemas.values():
        jsonschema_rs.meta.validate(schema)
    used = {ref.removeprefix("#/components/schemas/") for ref in _refs(whole)}
    assert used == set(schemas)


def test_every_example_is_one() -> None:
    """Of its schema, and of what the code reads."""
    whole = document()
    contents = [
        content
        for operations in whole["paths"].values()
        for operation in operations.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
    ]
    examples = [(content["schema"], content["example"]) for content in contents if "example" in content]
    assert examples
    for schema, example in examples:
        jsonschema_rs.validate({**schema, "components": whole["components"]}, example)
        if "message" in example:
            send_mail(json.dumps(example).encode())


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(ref := node.get("$ref"), str):
            yield ref
        for value in node.values():
            yield from _refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from _refs(value)
