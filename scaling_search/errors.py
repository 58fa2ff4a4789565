"""The one exception that is the user's to mend, not ours."""


class UserError(Exception):
    """Bad input, said in one line: what was given, what is allowed and what to try.

    The command line prints the message without a traceback and exits with status 2.
    """

    def __init__(self, given: str, allowed: str = "", hint: str = ""):
        sentences = (part.rstrip(".") for part in (given, allowed, hint) if part)
        super().__init__("; ".join(" ".join(part.split()) for part in sentences))


def in_one_line(error: Exception) -> str:
    """What went wrong, for a person."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}".removesuffix(": ")[:500]
