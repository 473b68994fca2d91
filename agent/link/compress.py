"""Results gzipped on their way, if the API says that it takes them so.

It says so with `Accept-Encoding: gzip` in any answer (RFC 9110 §12.5.3). The figures are in docs/performance.md: a
fifth of the bytes is left, for a few ms of processor a MB.
"""

import re
import zlib
from collections.abc import AsyncGenerator, AsyncIterator

LEAST_BYTES = 16 * 1024
"""A smaller body isn't worth it."""

LEVEL = 1
"""Level 6 leaves a tenth less, for three times the time."""

_GZIP_FORMAT = 31  # zlib's word for: with gzip's head and checksum, RFC 1952


def takes_gzip(codings: str) -> bool:
    """What an answer's Accept-Encoding says of gzip. A weight of 0 is a no."""
    for coding in codings.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() in {"gzip", "x-gzip"}:
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight)
    return False


async def compressed(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The same bytes as gzip, piece by piece."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP_FORMAT)
    async for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()
