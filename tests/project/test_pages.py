"""What the documents tell to run or to set exists: targets, programs, options, scripts, parameters, queries."""

import re
from typing import Final

from tests.infra.deployed import ROOT, STORAGE, TEMPLATE, deployed
from tests.infra.kusto.language import read

PAGES: Final = sorted(
    str(path.relative_to(ROOT))
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md")]
    if "decisions" not in path.parts  # those are history
)
MAKEFILE: Final = (ROOT / "Makefile").read_text()
MAKES_OWN: Final = {"PYTHON"}  # read by make, not by a recipe


def text(page: str) -> str:
    return (ROOT / page).read_text()


def code(page: str) -> list[str]:
    """Blocks and spans of code: what a reader copies."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text(page), re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^ *```.*?^ *```", "", text(page), flags=re.MULTILINE | re.DOTALL)
    return blocks + re.findall(r"`([^`]+)`", prose)


def makes(page: str) -> list[str]:
    """Each command of make, as it would be typed, without its comment."""
    lines = [line.strip() for one in code(page) for line in one.replace("\n     ", " ").splitlines()]
    return [line.partition(" #")[0] for line in lines if re.match(r"(?:\w+=\S+ )*make [a-zA-Z]", line)]


def test_every_make_command_has_its_target_and_its_variables() -> None:
    for page in PAGES:
        for command in makes(page):
            words = re.sub(r"='[^']*'?", "=x", command.partition("make ")[2]).split()
            for word in words:
                name, is_variable, _ = word.partition("=")
                if is_variable:
                    assert name in MAKES_OWN or re.search(rf"\$\((?:if \$\()?{name}\b", MAKEFILE), f"{page}: {command}"
                elif re.fullmatch(r"[a-z][a-z-]*", word):
                    assert re.search(rf"^{word}:", MAKEFILE, re.MULTILINE), f"{page}: {command}"


def test_every_program_has_its_module_and_options() -> None:
    for page in PAGES:
        for module, rest in re.findall(r"python -m ([a-z][\w.]*)([^`\n]*)", text(page)):
            if module.partition(".")[0] not in {"deployment", "sandbox", "shared", "tests", "bench"}:
                continue
            path = ROOT / module.replace(".", "/")
            file = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__main__.py"
            assert file.exists(), f"{page}: {module}"
            source = "".join(one.read_text() for one in [file, *file.parent.glob("*.py")])
            for option in re.findall(r"(--[a-z-]+)", rest):
                assert f'"{option}"' in source, f"{page}: {module} {option}"


def test_every_script_exists_and_has_its_switches() -> None:
    for page in PAGES:
        for script, rest in re.findall(r"(?:\./)?(scripts/[\w-]+\.ps1|deployment/[\w-]+\.ps1)([^`\n#]*)", text(page)):
            assert (ROOT / script).exists(), f"{page}: {script}"
            switches = set(re.findall(r" -([A-Z]\w+)", rest)) - {"WhatIf"}
            assert switches <= set(re.findall(r"\$(\w+)", (ROOT / script).read_text())), f"{page}: {script}"


def test_every_parameter_that_is_given_exists() -> None:
    for page in PAGES:
        named = {name for one in code(page) for name in re.findall(r"^param (\w+) =", one, re.MULTILINE)}
        named |= {name for one in code(page) for name in re.findall(r"^([a-z]+[A-Z]\w*) = ['\d\[a-z]", one)}
        assert named <= TEMPLATE["parameters"].keys() | {"networkAddresses"}, page


def test_every_variable_of_a_deployment_is_read_by_something_or_is_an_output() -> None:
    programs = [
        *(ROOT / "sandbox").glob("*.py"),
        *(ROOT / "deployment").rglob("*.py"),
        *(ROOT / "shared").rglob("*.py"),
    ]
    others = (
        "Makefile",
        "azure.yaml",
        "pyproject.toml",
        "infra/main.bicepparam",
        "tests/conftest.py",
        "tests/e2e/running.py",
    )
    read_ = "\n".join(one.read_text() for one in [*programs, *(ROOT / name for name in others)])
    known = deployed("default").outputs | deployed("default").settings().keys()
    for page in PAGES:
        named = set(re.findall(r"\b(?:AZURE|MAILROOM)_[A-Z_]+[A-Z]\b", text(page)))
        assert {name for name in named - known if name not in read_} == set(), page


def test_every_setting_of_a_redirected_or_changed_deployment_can_be_given() -> None:
    for page in PAGES:
        for one in code(page):
            for names in re.findall(r"ALLOW_EMPTY=([\w,]+)", one):
                for name in names.split(","):
                    assert name in deployed("everything").settings() or name in TEMPLATE["parameters"], (
                        f"{page}: {name}"
                    )


def test_every_queue_and_container_that_a_command_names_is_deployed() -> None:
    here = deployed("default")
    there = here.names(f"{STORAGE}/queueServices/queues") | here.names(f"{STORAGE}/blobServices/containers")
    for page in PAGES:
        named = set(re.findall(r"(?:--queue-name|--container-name|--source) (mail-[\w-]+)", text(page)))
        assert named <= there, page


def test_every_query_is_read_by_kusto() -> None:
    for page in PAGES:
        queries = [one for one in code(page) if re.match(r"App(Traces|Requests|Exceptions)\s*\|", one)]
        for query in queries:
            assert read(query.replace("\n", " ") if "\n|" not in query else query).faults == (), f"{page}: {query}"


def test_every_link_within_the_project_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|mailto:|data:)([^)\s]+)\)", text(page)):
            file, _, anchor = target.partition("#")
            there = (ROOT / page).parent / file if file else ROOT / page
            assert there.exists(), f"{page}: {target}"
            if anchor and there.suffix == ".md":
                headings = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
                plain = [re.sub(r"[^\w -]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", one)) for one in headings]
                assert anchor in {one.strip().lower().replace(" ", "-") for one in plain}, f"{page}: {target}"


def test_the_documents_are_searched() -> None:
    """Each rule above finds something to check."""
    assert sum(len(makes(page)) for page in PAGES) > 30
    assert len([page for page in PAGES if "scripts/" in text(page)]) > 1
