"""No module of a package stands in the way of one of Mailroom's own."""

from pathlib import Path

import pytest
from deployment.errors import DeploymentError

from deployment.package import check_names

OWN = [Path("function_app.py"), Path("shared/settings/config.py"), Path("host.json")]


@pytest.mark.parametrize(
    "brought", ["shared/__init__.pyc", "shared/deep/module.py", "shared.py", "shared.cpython-313-x86_64-linux-gnu.so"]
)
def test_a_package_with_a_module_of_our_name_is_refused(brought: str) -> None:
    with pytest.raises(DeploymentError, match="brings a module 'shared'"):
        check_names(OWN, [Path("aiohttp/client.pyc"), Path(brought)])


def test_a_module_of_ours_with_the_name_of_one_of_pythons_is_refused() -> None:
    with pytest.raises(DeploymentError, match="Python itself has a module 'queue'"):
        check_names([*OWN, Path("queue/__init__.py")], [])


@pytest.mark.parametrize("brought", ["azure/functions/shared.py", "shared-1.0.dist-info/METADATA", "host.json"])
def test_what_cannot_be_taken_for_ours_is_let_through(brought: str) -> None:
    check_names(OWN, [Path(brought)])
