"""The pre-send policy of one process: policy's before_send, with the suppression list that it has to ask first."""

from dataclasses import dataclass

from shared.aside import aside
from shared.config import Settings
from shared.delivery.suppressions import Suppressions
from shared.letters.letter import Letter
from shared.policy.before_send import Goes, Withheld, before_send, recipients_of

__all__ = ["PreSendPolicy"]


@dataclass(frozen=True, slots=True)
class PreSendPolicy:
    """One for a process."""

    settings: Settings
    suppressions: Suppressions

    async def verdict(self, mail: Letter, *, admitted: bool = False) -> Goes | Withheld:
        """What may go of a mail now. admitted: by the same settings, a moment ago.

        Raises AzureError when the list cannot be read: then nothing may go.
        """
        addresses = [recipient.email_address.address for recipient in recipients_of(mail.mail.message)]
        suppressed = await self.suppressions.among(addresses)
        size = len(mail.mime or b"")  # to redirect it is to read it once more
        return await aside(size, before_send, mail, self.settings, suppressed, admitted=admitted)
