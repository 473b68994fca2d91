"""One HTTP answer: whether it is the API's at all, and what it says to people."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from agent.errors import LinkDown

_WORDS = 256  # how much of the API's words is kept: enough for a sentence, too little for a dump

ELSEWHERE = "Something else answers in the API's place: an ingress, a proxy, a login page. Look at KUBENTLY_API_URL."
_HINTS = {
    401: "The API doesn't know this token for this cluster. Is the token whole and current, and is CLUSTER_ID the name "
    "that it was made for? A token file is read again by itself.",
    403: "The token is known, but not for this cluster: look at CLUSTER_ID, and at what the API has on record for it.",
    404: "There is an HTTP server, but not this API at this path: look at KUBENTLY_API_URL, and whether the API speaks "
    "the contract that KUBENTLY_LINK names.",
    407: "The proxy wants a user and a password: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT.",
    429: "The API asks for fewer requests. The agent waits by itself as long as it is told to.",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    after: float  # how many seconds after its request it began

    @property
    def words(self) -> str:
        """The beginning of the body, for people: printable and short."""
        text = self.body[: 4 * _WORDS].decode("utf-8", "replace")
        return "".join(c if c.isprintable() else " " for c in text)[:_WORDS].strip()

    @property
    def said(self) -> dict[str, Any] | None:
        """The body's JSON object; None if it is anything else."""
        said = read_json(self.body)
        return said if isinstance(said, dict) else None

    @property
    def retry_after(self) -> float | None:
        """Retry-After in seconds (RFC 9110 §10.2.3: a number, or a date), None without or if it can't be read."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        until = _date(text)
        if until is None:
            return None
        # By the server's own clock: this machine's may be minutes off.
        return max(0.0, (until - (_date(self.headers.get("date", "")) or datetime.now(UTC))).total_seconds())


def read_json(text: bytes | str) -> Any:
    """What the JSON says; None if that is null, or nothing that can be read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # ValueError: broken JSON, broken UTF-8, numbers of 5,000 digits
        return None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else None


def from_api(answer: Answer) -> Answer:
    """The answer, if it may be the API's. Raises LinkDown if it is a redirect, or a page for a browser: a proxy's, a
    captive portal's, that of an ingress without a backend.
    """
    if 300 <= answer.status < 400:
        hint = "Name the address that it leads to in KUBENTLY_API_URL: the token doesn't go wherever a redirect points."
        problem = f"HTTP {answer.status}: a redirect, and redirects are never followed"
        raise LinkDown(problem, hint, status=answer.status)
    # A proxy's 413 may be in HTML, as nginx's is, and still says what matters: a smaller body would pass.
    if answer.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" and answer.status != 413:
        problem = f"HTTP {answer.status} in HTML: not the API's answer"
        raise LinkDown(problem, ELSEWHERE, status=answer.status, retry_after=answer.retry_after)
    return answer


def unhappy(answer: Answer) -> LinkDown:
    """The error for an answer that isn't what the contract promises."""
    hint = _HINTS.get(answer.status, ELSEWHERE)
    if answer.status >= 500:
        hint = "The API is there but not well. Nothing can be done here: the agent goes on trying, and loses nothing."
    refused = answer.status in {401, 403}
    problem = f"HTTP {answer.status}: {answer.words}" if answer.words else f"HTTP {answer.status}"
    return LinkDown(problem, hint, status=answer.status, retry_after=answer.retry_after, refused=refused)
