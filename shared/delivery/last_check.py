"""The last check of a mail: policy's before_send, with the suppression list that it has to ask first."""

from dataclasses import dataclass
from typing import Protocol

from shared.config import Settings
from shared.delivery.suppressions import Suppressions
from shared.letters.letter import Letter
from shared.policy.before_send import Goes, Withheld, before_send, recipients_of

__all__ = ["LastCheck", "Policy"]


class Policy(Protocol):
    """Whether a letter may still go, and to whom. LastCheck is the real one."""

    async def suppressed(self, letter: Letter) -> frozenset[str]:
        """Those of its recipients' addresses that must not be mailed. Raises azure.core's AzureError.

        Asked again within some seconds it costs nothing.
        """
        ...

    def verdict(self, letter: Letter, suppressed: frozenset[str]) -> Goes | Withheld:
        """Pure: see policy.before_send."""
        ...


@dataclass(frozen=True, slots=True)
class LastCheck:
    """One for a process."""

    settings: Settings
    suppressions: Suppressions

    async def suppressed(self, letter: Letter) -> frozenset[str]:
        return await self.suppressions.among(
            [recipient.email_address.address for recipient in recipients_of(letter.mail.message)]
        )

    def verdict(self, letter: Letter, suppressed: frozenset[str]) -> Goes | Withheld:
        return before_send(letter, self.settings, suppressed)
