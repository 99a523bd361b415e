"""Extension modules without what only debuggers read.

Some wheels come with their debugging sections, for aiohttp four fifths of the file. In a file of the format ELF what is
loaded is named by program headers, and what they name comes first; behind it lie sections that no program reads, and
their table. `strip` is not on every machine that builds, so the file is cut off there and its header says that it has
no sections (man 5 elf; Tool Interface Standard, Executable and Linking Format, 1.2).
"""

import struct

__all__ = ["without_debugging"]

_ELF_64_LITTLE = b"\x7fELF\x02\x01"
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_NO_BITS = 8  # a section without content in the file
_LOADED = 0x2


def without_debugging(content: bytes) -> bytes:
    """A shared object of 64 bits, little end first, cut off behind what is loaded; anything else as it is.

    Also as it is when something that is loaded lies behind the cut, as no linker puts it.
    """
    if not content.startswith(_ELF_64_LITTLE):
        return content
    header = list(_HEADER.unpack_from(content))
    segments_at, sections_at, segments, sections = header[5], header[6], header[10], header[12]
    end = segments_at + segments * _SEGMENT.size
    for number in range(segments):
        segment = _SEGMENT.unpack_from(content, segments_at + number * _SEGMENT.size)
        end = max(end, segment[2] + segment[5])  # offset and size in the file
    for number in range(sections):
        section = _SECTION.unpack_from(content, sections_at + number * _SECTION.size)
        kind, flags, offset, size = section[1], section[2], section[4], section[5]
        if flags & _LOADED and kind != _NO_BITS and offset + size > end:
            return content
    header[6] = header[12] = header[13] = 0  # where the table of sections is, how many, and which has their names
    return _HEADER.pack(*header) + content[_HEADER.size : end]
