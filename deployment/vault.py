"""Secrets in a Key Vault, over HTTPS, so that none is ever on a command line.

https://learn.microsoft.com/rest/api/keyvault/secrets
"""

import json
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from deployment import DeploymentError
from deployment.azure import HttpAnswer, ResourceGroup, RoleMissing, request, until_allowed

VERSION: Final = "7.4"
ROLE: Final = "Key Vault Secrets Officer"


class KeyVault:
    """url: as Resource Manager has it. patience: seconds to wait for a role on it."""

    def __init__(self, group: ResourceGroup, url: str, patience: float) -> None:
        self.url = url
        self._group = group
        self._patience = patience
        # https://kv-1.vault.azure.net takes tokens for https://vault.azure.net; other clouds have other names.
        self._audience = f"https://{(urlsplit(url).hostname or '').partition('.')[2]}"

    @property
    def name(self) -> str:
        return (urlsplit(self.url).hostname or "").partition(".")[0]

    def read(self, name: str) -> str | None:
        """The value of a secret; None when there is no such secret. Raises DeploymentError."""
        answer = self._ask(name, "GET", None)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        found = answer.json()
        if answer.status != HTTPStatus.OK or not isinstance(found, dict):
            raise DeploymentError(f"The vault {self.name} does not show {name}: {answer}")
        return str(found["value"])

    def write(self, name: str, value: str) -> None:
        """Store a value; earlier ones stay in the vault as older versions. Raises DeploymentError."""
        answer = self._ask(name, "PUT", json.dumps({"value": value}).encode())
        if answer.status == HTTPStatus.CONFLICT:
            recover = f"az keyvault secret recover --vault-name {self.name} --name {name}"
            raise DeploymentError(
                f"{name} was deleted and the vault still keeps it: {answer}. Recover it first: {recover}"
            )
        if answer.status != HTTPStatus.OK:
            # Without the answer's text, which could repeat the secret.
            raise DeploymentError(f"The vault {self.name} does not store {name}: it answers {answer.status}.")

    def _ask(self, name: str, method: str, body: bytes | None) -> HttpAnswer:
        url = f"{self.url}/secrets/{name}?api-version={VERSION}"

        def ask() -> HttpAnswer:
            answer = request(self._group, url, method, body, self._audience, Content_Type="application/json")
            if answer.status == HTTPStatus.FORBIDDEN:
                if "ForbiddenByRbac" in answer.body.decode(errors="replace"):
                    needed = f"Whoever stores secrets needs the role {ROLE} on it (secretsOfficerPrincipalIds)"
                    raise RoleMissing(f"The vault {self.name} answers 403. {needed}.")
                inside = "If the network is private, run this inside it."
                raise DeploymentError(f"The vault {self.name} accepts no request from here: {answer}. {inside}")
            return answer

        return until_allowed(ask, self._patience)
