"""What drafts and their files are to those who do not speak to Graph themselves. Loads no SDK."""

from dataclasses import dataclass

__all__ = ["Draft", "FileItem"]


@dataclass(frozen=True, slots=True)
class Draft:
    """Where a message lies. folder: the id of its folder."""

    id: str
    is_draft: bool
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileItem:
    """A file that is to be uploaded. size in bytes."""

    name: str
    size: int
    content_type: str | None = None
    is_inline: bool | None = None
    content_id: str | None = None
