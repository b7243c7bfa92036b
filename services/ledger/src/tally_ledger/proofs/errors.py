"""Why there is no proof, or why one does not hold.

ProofError
├── KeyMalformed       a key that is no Ed25519 key
├── TransferUnknown    no journal of that id, none with that transfer
├── FormWithoutProof   booked before batches were trees
├── ChangeWithoutProof an account change made before changes were leaves
└── ProofRefused       a document that proves nothing
"""

from typing import ClassVar


class ProofError(Exception):
    """Base of these errors: `field` is what is wrong, `remedy` what to do."""

    code: ClassVar[str] = "proof_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, field: str, remedy: str) -> None:
        super().__init__(f"{field}: {message}; {remedy}")
        self.field = field
        self.remedy = remedy


class KeyMalformed(ProofError):  # noqa: N818 - named for what it says
    code = "key_malformed"

    def __init__(self, field: str) -> None:
        super().__init__(
            "this is no Ed25519 key",
            field=field,
            remedy="give its 32 bytes in base64 (44 characters)",
        )


class TransferUnknown(ProofError):  # noqa: N818 - named for what it says
    code = "transfer_unknown"

    def __init__(self, id_: str) -> None:
        super().__init__(
            f"{id_[:100]!r} is in none of the books",
            field="transfer",
            remedy="give the id of a transfer, journal or account change that was booked (tally trace finds it)",
        )


class FormWithoutProof(ProofError):  # noqa: N818 - named for what it says
    code = "form_without_proof"

    def __init__(self, shard: str, log_seq: int) -> None:
        super().__init__(
            f"batch {log_seq} of {shard} was booked before batches were trees",
            field="batch.form",
            remedy="its root can be recomputed from the whole batch: tally verify",
        )


class ChangeWithoutProof(ProofError):  # noqa: N818 - named for what it says
    code = "change_without_proof"

    def __init__(self, id_: str) -> None:
        super().__init__(
            f"account change {id_[:100]} was made before changes were leaves of the log",
            field="change",
            remedy="nothing but the row itself, and the fact on ledger.accounts.v1, tells of it",
        )


class ProofRefused(ProofError):  # noqa: N818 - named for what it says
    """`code` says how the document fails, `field` where."""

    code = "proof_refused"

    def __init__(self, message: str, *, field: str, remedy: str) -> None:
        super().__init__(message, field=field, remedy=remedy)
