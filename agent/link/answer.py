"""One HTTP answer: whether it is the API's at all, and what it says to people."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from agent.errors import LinkDown

_WORDS = 256  # how much of the API's words is kept: enough for a sentence, too little for a dump


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def words(self) -> str:
        """The beginning of the body, for people: printable and short."""
        text = self.body[: 4 * _WORDS].decode("utf-8", "replace")
        return "".join(c if c.isprintable() else " " for c in text)[:_WORDS].strip()

    @property
    def is_html(self) -> bool:
        """Whether a browser was meant to read this: then it isn't the API's."""
        return self.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"

    @property
    def retry_after(self) -> float | None:
        """Retry-After in seconds (RFC 9110 §10.2.3: a number, or a date), None without or if it can't be read."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError, OverflowError):  # TypeError: a date without a zone
            return None


def from_api(answer: Answer) -> Answer:
    """The answer, if it is the API's.

    Raises:
        LinkDown: it is a redirect, or a page for a browser: a proxy's, a captive portal's, that of an ingress without a
            backend.
    """
    if 300 <= answer.status < 400:
        raise LinkDown(f"HTTP {answer.status}: a redirect, and redirects are never followed", status=answer.status)
    # A proxy's 413 is in HTML, nginx's for one, and says all there is to know: a smaller one would pass.
    if answer.is_html and answer.status != 413:
        raise LinkDown(
            f"HTTP {answer.status} in HTML: not the API's answer",
            status=answer.status,
            retry_after=answer.retry_after,
        )
    return answer


def unhappy(answer: Answer) -> LinkDown:
    """The error for an answer that isn't what the contract promises."""
    words = f": {answer.words}" if answer.words else ""
    return LinkDown(
        f"HTTP {answer.status}{words}",
        status=answer.status,
        retry_after=answer.retry_after,
        refused=answer.status in {401, 403},
    )
