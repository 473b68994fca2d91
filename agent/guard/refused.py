"""The guard's answer when it says no."""

_SHOWN_CHARS = 80  # enough to recognise an argument, short enough for a log line


class Refused(Exception):  # noqa: N818  # an answer, not a failure
    """These arguments don't run. It travels back to the sender as an ordinary result.

    `rule` is a short word that stays the same from release to release, for metrics: shape, verb, subcommand, flag,
    value, output, raw, operand, name, type, namespace, or policy (the policy file took it away).
    `argument` is the offending argument, safe to print. `sentence` is for people: what, why, and what to do instead.
    """

    def __init__(self, rule: str, argument: str, sentence: str) -> None:
        self.rule = rule
        self.argument = argument
        self.sentence = sentence
        super().__init__(sentence)


def shown(argument: str) -> str:
    """An argument as a sentence may show it: printable ASCII, cut when long."""
    head = argument[:_SHOWN_CHARS]
    if not (head.isascii() and head.isprintable()):
        head = ascii(head)[1:-1][:_SHOWN_CHARS]
    return head + ("…" if len(argument) > _SHOWN_CHARS else "")
