"""What a command line must look like before anybody reads it as one."""

from agent.guard.refused import Refused

MAX_ARGUMENTS = 64  # the longest line of a person that we know of has 23
MAX_BYTES = 16 * 1024  # in all, as UTF-8; Linux takes at most 128 KiB for one argument, a line for people is far below


def check_shape(args: object) -> list[str]:
    """The arguments as a list of strings that any child process can be given.

    A NUL, a lone surrogate or an argument of 200 KB would make starting the child fail with ValueError,
    UnicodeEncodeError or OSError; control characters could move the cursor of whoever reads the log.

    Raises:
        Refused: with the rule "shape".
    """
    if not isinstance(args, list | tuple):
        raise Refused("shape", type(args).__name__, "the arguments must be a list of strings, without kubectl itself")
    if not args:
        raise Refused("shape", "", 'there are no arguments; a verb is needed, as in ["get", "pods"]')
    if len(args) > MAX_ARGUMENTS:
        raise Refused("shape", str(len(args)), f"{len(args)} arguments are too many; {MAX_ARGUMENTS} are allowed")
    size = 0
    for position, argument in enumerate(args, 1):
        if not isinstance(argument, str):
            kind = type(argument).__name__
            raise Refused("shape", kind, f"argument {position} is of type {kind}; every one must be a string")
        # A text's length is a lower bound of its bytes, so nothing huge is looked at closely.
        size += len(argument) if len(argument) > MAX_BYTES else len(argument.encode(errors="surrogatepass"))
        if size > MAX_BYTES:
            raise Refused("shape", argument, f"the arguments are too long; {MAX_BYTES} bytes in all are allowed")
    for argument in args:
        if not argument.isprintable():
            why = "has characters that can't be printed (control characters, line breaks or half a code point)"
            raise Refused.word("shape", argument, f"{why}; in jsonpath and templates write \\n")
        if "--kuberc" in argument:
            # kubectl 1.33 and later look for this inside every argument, before they parse any.
            raise Refused.word("shape", argument, "contains --kuberc, which makes kubectl load a local file; drop it")
    return list(args)
