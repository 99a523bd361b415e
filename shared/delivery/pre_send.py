"""The pre-send policy of one process: policy's before_send, with the suppression list that it has to ask first."""

from dataclasses import dataclass

from shared.mail.outgoing import OutgoingMail
from shared.policy.pre_send import Goes, Withheld, before_send, recipients_of
from shared.policy.suppression_list import Suppressions
from shared.runtime.long_work import aside
from shared.settings.config import Settings


@dataclass(frozen=True, slots=True)
class PreSendPolicy:
    """One for a process."""

    settings: Settings
    suppressions: Suppressions

    async def verdict(self, mail: OutgoingMail, *, admitted: bool = False) -> Goes | Withheld:
        """What may go of a mail now. admitted: by the same settings, a moment ago.

        Raises AzureError when the list cannot be read: then nothing may go.
        """
        addresses = [recipient.email_address.address for recipient in recipients_of(mail.request.message)]
        suppressed = await self.suppressions.among(addresses)
        size = len(mail.mime or b"")  # to redirect it is to read it once more
        return await aside(size, before_send, mail, self.settings, suppressed, admitted=admitted)
