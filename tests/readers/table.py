"""Every reader of text from callers, with the shapes that cost it most."""

from typing import Final

from tests.readers import events, mails, texts

READERS: Final = [*texts.READERS, *mails.READERS, *events.READERS]
