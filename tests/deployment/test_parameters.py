"""What a parameter file gives, as far as no compiler is needed: tests/infra/test_compiler.py has the rest."""

import re

from deployment.environments import INFRA
from deployment.parameters import CompiledParameters, defaults_of
from tests.infra.deployed import TEMPLATE, deployed

MAIN = (INFRA / "main.bicepparam").read_text()
# Azure computes them; a constant in a file that everybody shares would be wrong for somebody.
COMPUTED = {"location", "apiTenantId", "httpConcurrency"}


def test_which_settings_are_empty_is_what_the_compiler_says_of_the_defaults() -> None:
    text = (INFRA / "parameters" / "default.bicepparam").read_text()
    given = dict(re.findall(r"^param (\w+) = '(.*)'$", text, re.MULTILINE))
    settings = deployed("default").one("Microsoft.Web/sites/config")["properties"]
    empty = {name: value == "" for name, value in settings.items()}
    assert CompiledParameters(given, TEMPLATE).settings() == empty


def test_parameters_that_become_settings_are_known() -> None:
    found = CompiledParameters({}, TEMPLATE).in_settings()
    assert found >= {"mailSender", "mailTo", "allowedSenders", "allowedRecipients", "callers", "mailSettings"}
    assert not found & {"alertEmail", "network", "producers", "location", "tags"}


def test_azd_can_give_every_parameter_without_editing_a_file() -> None:
    """By a variable of a name that can be guessed: MAIL_… of the setting, or MAILROOM_… of the parameter."""
    read = dict(re.findall(r"^param (\w+) = ((?:.|\n(?! *\n|param |//))*)", MAIN, re.MULTILINE))
    assert read.keys() == TEMPLATE["parameters"].keys() - COMPUTED
    assert not COMPUTED & defaults_of(TEMPLATE).keys()
    assert all(name in MAIN for name in COMPUTED)
    for name, value in read.items():
        upper = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
        names = set(re.findall(r"readEnvironmentVariable\(\s*'(\w+)'", value))
        assert names & {f"MAILROOM_{upper}", f"MAIL_{upper}", upper, "AZURE_ENV_NAME"}, name
