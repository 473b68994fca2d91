"""Ages, sizes and counts in words for people."""

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def age(seconds: float) -> str:
    """A time span in its two largest units that matter: "45 s", "3 min 5 s", "2 h", "5 d 4 h"."""
    left = max(0, round(seconds))
    if left < 60:
        return f"{left} s"
    first = next(i for i, (_, size) in enumerate(_UNITS) if left >= size)
    unit, size = _UNITS[first]
    small, small_size = _UNITS[first + 1]
    rest = left % size // small_size
    return f"{left // size} {unit}" + (f" {rest} {small}" if rest and left // size < 10 else "")


def counted(count: int, what: str) -> str:
    """A number of things: "1 result", "3 results"."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def size(count: float) -> str:
    """Bytes in the unit that suits them: "0 B", "812 B", "3.4 KiB", "256 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1000 or unit == "GiB":
            break
        count /= 1024
    digits = 0 if unit == "B" or count >= 10 or count == int(count) else 1
    return f"{count:.{digits}f} {unit}"
