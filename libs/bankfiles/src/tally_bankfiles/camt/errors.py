"""What can be wrong with a statement, with its place and the way out."""

from typing import ClassVar


class StatementError(ValueError):
    """A statement nothing may be booked from: the whole of it is quarantined.

    `code` is the slug of the case, `line` the 1-based line in the XML (0 = the file as a whole),
    `field` the path of ISO 20022 tags, `detail` what was found, `remedy` what to do.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, code: str, *, line: int, field: str, detail: str, remedy: str) -> None:
        self.code = code
        self.line = line
        self.field = field
        self.detail = detail
        self.remedy = remedy
        super().__init__(f"line {line}, {field}: {detail}; {remedy} ({code})")
