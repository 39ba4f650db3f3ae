"""Unpack a body within a bound; pure.

The code is our own, because aiohttp unpacks a piece before its size can be checked. A few kilobytes can hold gigabytes.
"""

import zlib
from typing import Any, Final

_GZIP: Final = 31  # zlib's window bits for a stream with gzip's header, with zlib's own, and without a header
_ZLIB: Final = 15
_RAW: Final = -15
_MOST_MEMBERS: Final = 1000
_PADDING: Final = b"\0 \t\r\n"
_NAMES: Final = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


class Broken(Exception):
    """The body cannot be used; the text says why."""


def too_large(most: int) -> Broken:
    """Return the error for a body of more than `most` bytes."""
    return Broken(f"a body of more than {most:,} bytes")


class Unpacking:
    """Unpack one body piece by piece, up to `most` bytes.

    A gzip may have several members, with white space or zeros behind them. A deflate may have zlib's header or none.
    """

    def __init__(self, encoding: str, most: int) -> None:
        if encoding not in _NAMES:
            raise Broken("a body in an encoding that was not requested")
        self._name = _NAMES[encoding]
        self._most = self._left = most
        self._packed_left = most + most // 8 + 1024  # a longer one has empty members and blocks
        self._members = 0
        self._stream: Any = zlib.decompressobj(_GZIP)  # zlib gives the type no name
        self._in_member = False
        self._first = b""

    def piece(self, packed: bytes) -> bytes:
        """Return the next piece unpacked, at most one byte more than is left; raise `Broken` if it is unusable."""
        self._packed_left -= len(packed)
        if self._packed_left < 0:
            raise too_large(self._most)
        unpacked: list[bytes] = []
        packed = packed if self._in_member else self._begin(packed)
        while packed and self._left >= 0:
            try:
                unpacked.append(self._stream.decompress(packed, self._left + 1))
            except zlib.error:
                raise self._not_packed() from None
            self._left -= len(unpacked[-1])
            packed = self._begin(self._stream.unused_data) if self._stream.eof else b""
        return b"".join(unpacked)

    def end(self) -> None:
        """Raise `Broken` if the body is not whole; an empty body is whole."""
        if self._in_member or self._first:
            raise Broken(f"a {self._name} body that ends too early")

    def _begin(self, packed: bytes) -> bytes:
        """Begin a member and return its first bytes; return nothing for padding, or for too few bytes to decide."""
        self._in_member = False
        if self._members:
            packed = packed.lstrip(_PADDING)
        if self._name == "deflate" and len(packed) + len(self._first) == 1 and not self._members:
            self._first = packed
            return b""
        packed, self._first = self._first + packed, b""
        if not packed:
            return b""
        self._members, self._in_member = self._members + 1, True
        if self._members > (_MOST_MEMBERS if self._name == "gzip" else 1):
            raise self._not_packed()
        # RFC 1950: the method is 8, and the first two bytes are a multiple of 31. No raw deflate begins like that.
        has_header = packed[0] & 15 == 8 and int.from_bytes(packed[:2], "big") % 31 == 0
        self._stream = zlib.decompressobj(_GZIP if self._name == "gzip" else _ZLIB if has_header else _RAW)
        return packed

    def _not_packed(self) -> Broken:
        if self._members > 1:
            return Broken(f"a {self._name} body with other data after its end")
        return Broken(f"a body that is not valid {self._name}")
