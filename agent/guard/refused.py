"""The guard's answer when it says no."""

_SHOWN_CHARS = 80  # enough to recognise an argument, short enough for a log line


class Refused(Exception):  # noqa: N818  # an answer, not a failure
    """These arguments don't run. It travels back to the sender as an ordinary result.

    `rule` is a short word that stays the same from release to release, for metrics: shape, verb, subcommand, flag,
    value, output, raw, operand, name, type, namespace, or policy (the policy file took it away).
    `argument` is the offending argument, safe to print. `sentence` says what, why, and what to do instead.
    """

    def __init__(self, rule: str, argument: str, sentence: str) -> None:
        self.rule = rule
        self.argument = shown(argument)
        self.sentence = sentence
        super().__init__(sentence)

    @classmethod
    def word(cls, rule: str, argument: str, why: str) -> "Refused":
        """A sentence that begins with the argument, in quotes."""
        return cls(rule, argument, f'"{shown(argument)}" {why}')


def shown(argument: str) -> str:
    """An argument as a sentence may show it: what can't be printed is written as an escape, what is long is cut."""
    head = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in argument[:_SHOWN_CHARS])
    return head[:_SHOWN_CHARS] + ("…" if len(argument) > _SHOWN_CHARS else "")
