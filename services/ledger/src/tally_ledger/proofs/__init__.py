"""Signed daily roots, and proofs that a journal is in the books: docs/reference/ledger-proofs.md."""

from tally_ledger.proofs.checking import Proven, check_proof
from tally_ledger.proofs.days import DayRoot
from tally_ledger.proofs.document import ChangeProof, Proof
from tally_ledger.proofs.errors import (
    ChangeWithoutProof,
    FormWithoutProof,
    ProofError,
    ProofRefused,
    TransferUnknown,
)
from tally_ledger.proofs.signing import PublicKey, SigningKey

__all__ = [
    "ChangeProof",
    "ChangeWithoutProof",
    "DayRoot",
    "FormWithoutProof",
    "Proof",
    "ProofError",
    "ProofRefused",
    "Proven",
    "PublicKey",
    "SigningKey",
    "TransferUnknown",
    "check_proof",
]
