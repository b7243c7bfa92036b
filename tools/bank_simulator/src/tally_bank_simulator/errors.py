"""Everything the simulator refuses, one class per case.

`code` is the stable slug of the case, `status` the HTTP status the admin API answers with.
"""

from typing import ClassVar


class SimulatorError(Exception):
    """The base of every refusal; the message names the field and the remedy."""

    code: ClassVar[str] = "simulator_error"
    retryable: ClassVar[bool] = False
    status: ClassVar[int] = 400


class InvalidRequestError(SimulatorError):
    """A body or a query of the admin API does not fit."""

    code = "invalid_request"


class ClockBackwardsError(SimulatorError):
    """The banking date would move before a day that is already in the book."""

    code = "clock_backwards"
    status = 409


class ResetNotConfirmedError(SimulatorError):
    """A reset was asked for without the confirmation body."""

    code = "reset_not_confirmed"
    status = 409


class UnknownUploadError(SimulatorError):
    """No upload has this number."""

    code = "unknown_upload"
    status = 404


class UnknownRuleError(SimulatorError):
    """No rule has this number."""

    code = "unknown_rule"
    status = 404


class CredentialsMissingError(SimulatorError):
    """Neither a password nor an authorized key was given, or the variable is empty."""

    code = "credentials_missing"


class FolderInUseError(SimulatorError):
    """Another simulator holds the folder."""

    code = "folder_in_use"
    retryable = True


class ForeignBookError(SimulatorError):
    """The book in the folder was written by another version of the simulator."""

    code = "foreign_book"


class FileRefusedError(Exception):
    """An uploaded file that cannot be executed at all.

    `code` is the slug the acknowledgement carries, `identity` is None while the file header could
    not be read, `line` counts from 1 (0 = the file as a whole).
    """

    retryable: ClassVar[bool] = False

    def __init__(self, code: str, line: int, identity: str | None = None) -> None:
        super().__init__(f"{code} at line {line}: correct the file and send it with a new identity")
        self.code = code
        self.line = line
        self.identity = identity
