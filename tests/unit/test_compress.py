"""What an API says of compressed bodies, and that they unpack to the same."""

import gzip

import pytest

from agent.link.compress import compressed, takes_gzip


@pytest.mark.parametrize(
    ("codings", "taken"),
    [
        ("gzip", True),
        ("br, GZIP", True),
        ("x-gzip;q=0.5", True),
        ("deflate, gzip ; q=1.0", True),
        ("gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("gzip; q = 0.000", False),
        ("identity", False),
        ("gzipped", False),
        ("", False),
    ],
)
def test_what_accept_encoding_says(codings, taken):
    assert takes_gzip(codings) is taken


@pytest.mark.parametrize("pieces", [[], [b""], [b"one", b"", b"two"], [b"x" * 300_000] * 3])
async def test_the_same_bytes(pieces):
    async def given():
        for piece in pieces:
            yield piece

    packed = b"".join([piece async for piece in compressed(given())])
    assert gzip.decompress(packed) == b"".join(pieces)
