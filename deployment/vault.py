"""Secrets in a Key Vault, over HTTPS, so that none is ever on a command line.

https://learn.microsoft.com/rest/api/keyvault/secrets
"""

import json
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from deployment.azure import Answer, Group, request
from deployment.errors import DeploymentError
from deployment.patience import Refused, until_allowed

__all__ = ["Vault"]

VERSION: Final = "7.4"
ROLE: Final = "Key Vault Secrets Officer"


class Vault:
    """One vault. url: as Resource Manager has it. patience: seconds that a role on it may take until it works."""

    def __init__(self, group: Group, url: str, patience: float) -> None:
        self.url = url
        self._group = group
        self._patience = patience
        # https://kv-1.vault.azure.net has tokens for https://vault.azure.net, in every cloud by its own name.
        self._audience = f"https://{(urlsplit(url).hostname or '').partition('.')[2]}"

    @property
    def name(self) -> str:
        return (urlsplit(self.url).hostname or "").partition(".")[0]

    def read(self, name: str) -> str | None:
        """The value of a secret; None where there is none. Raises DeploymentError."""
        answer = self._ask(name, "GET", None)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        found = answer.json()
        if answer.status != HTTPStatus.OK or not isinstance(found, dict):
            raise DeploymentError(f"The vault {self.name} does not show {name}: {answer}")
        return str(found["value"])

    def write(self, name: str, value: str) -> None:
        """Store a value; those before it stay in the vault as older versions. Raises DeploymentError."""
        answer = self._ask(name, "PUT", json.dumps({"value": value}).encode())
        if answer.status == HTTPStatus.CONFLICT:
            recover = f"az keyvault secret recover --vault-name {self.name} --name {name}"
            raise DeploymentError(f"{name} was deleted and is still kept: {answer}. Bring it back first: {recover}")
        if answer.status != HTTPStatus.OK:
            # Not the answer as it is: it could repeat what was sent.
            raise DeploymentError(f"The vault {self.name} does not take {name}: it answers {answer.status}.")

    def _ask(self, name: str, method: str, body: bytes | None) -> Answer:
        url = f"{self.url}/secrets/{name}?api-version={VERSION}"

        def ask() -> Answer:
            answer = request(self._group, url, method, body, self._audience, Content_Type="application/json")
            if answer.status == HTTPStatus.FORBIDDEN:
                if "ForbiddenByRbac" in answer.body.decode(errors="replace"):
                    needed = f"Whoever puts secrets needs the role {ROLE} on it (secretsOfficerPrincipalIds)"
                    raise Refused(f"The vault {self.name} refuses. {needed}.")
                inside = "On a private network run this inside it."
                raise DeploymentError(f"The vault {self.name} lets nobody in from here: {answer}. {inside}")
            return answer

        return until_allowed(ask, self._patience)
