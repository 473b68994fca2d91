"""Standard input, output and error, as whoever starts a command has left them."""

import codecs
import os
import sys

_INSTEAD = str.maketrans("√×–→…─·", "+x->~--")


def open_streams() -> None:
    """See to it that there are three streams, and that any text can be printed in any encoding.

    A descriptor that is closed (`>&-`) would be the next file's, such as the spool's. What stands in for a closed
    output can't be written, so that a command that prints something says so.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # gets the lowest number that is free
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    codecs.register_error("readable", _readable)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="readable")


def _readable(error: UnicodeError) -> tuple[str | bytes, int]:
    """What the encoding hasn't: our own signs by ASCII ones, the rest as escapes."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101  # only output is set up like this
    text = error.object[error.start : error.end]
    return text.translate(_INSTEAD).encode("ascii", "backslashreplace").decode(), error.end


def discard_output() -> None:
    """What is still in memory can't be written, and Python would complain about it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
