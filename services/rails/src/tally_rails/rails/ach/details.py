"""A US bank account as an instrument."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from tally_bankfiles.nacha import (
    TRANSACTION_CODES,
    AccountType,
    AchTextError,
    CorrectedDetails,
    Credit,
    is_routing_number,
    to_ach_text,
)
from tally_money import Money
from tally_railkit import CheckedInstrument, InstrumentProblem

_match_account: Final = re.compile(r"[A-Za-z0-9-]{1,17}").fullmatch
_match_routing: Final = re.compile(r"[0-9]{9}").fullmatch
_TYPES: Final = (AccountType.CHECKING, AccountType.SAVINGS)
_NAME_CHARS: Final = 22
_KEPT_NAME_CHARS: Final = 140
_ID_CHARS: Final = 15
_SHOWN: Final = 4


@dataclass(frozen=True, slots=True)
class AchDetails:
    """Where an ACH credit goes. `holder_name` is kept as given, the file holds it in ASCII."""

    routing_number: str
    account_number: str
    account_type: AccountType
    holder_name: str

    @classmethod
    def parse(cls, details: Mapping[str, str]) -> "AchDetails":
        """Read and check details; raises InstrumentProblem for the first field that is wrong."""
        routing = details.get("routing_number", "")
        if _match_routing(routing) is None:
            raise InstrumentProblem(
                "routing_number_malformed", "routing_number", "Give the bank's nine digits."
            )
        if not is_routing_number(routing):
            raise InstrumentProblem(
                "routing_number_check_digit",
                "routing_number",
                "Copy the nine digits from the bank's own letter or app.",
            )
        account = details.get("account_number", "")
        if _match_account(account) is None:
            raise InstrumentProblem(
                "account_number_malformed",
                "account_number",
                "Give 1 to 17 letters, digits or hyphens, without blanks.",
            )
        kind = details.get("account_type", "")
        if kind not in _TYPES:
            raise InstrumentProblem(
                "account_type_unknown", "account_type", "Give checking or savings."
            )
        return cls(routing, account, AccountType(kind), _name(details.get("holder_name", "")))

    def checked(self) -> CheckedInstrument:
        """What others may know of it. Of a short number, less than half is shown."""
        shown = min(_SHOWN, (len(self.account_number) - 1) // 2)
        tail = self.account_number[len(self.account_number) - shown :]
        return CheckedInstrument(f"{self.account_type} …{tail}")

    def fields(self) -> dict[str, str]:
        """The details by name, to be sealed."""
        return {
            "routing_number": self.routing_number,
            "account_number": self.account_number,
            "account_type": self.account_type.value,
            "holder_name": self.holder_name,
        }

    def credit(self, attempt_id: str, amount: Money) -> Credit:
        """The payment as an entry of a file; the receiver's statement shows the end of our id."""
        return Credit(
            routing=self.routing_number,
            account=self.account_number,
            account_type=self.account_type,
            amount_minor=amount.minor,
            individual_id=attempt_id[-_ID_CHARS:],
            name=to_ach_text(self.holder_name, _NAME_CHARS),
        )

    def corrected(self, said: CorrectedDetails) -> "AchDetails":
        """These details as the receiving bank corrects them; raises InstrumentProblem."""
        kind = self.account_type
        if said.transaction_code is not None:
            kind = TRANSACTION_CODES[said.transaction_code].account_type
        merged = replace(
            self,
            routing_number=said.routing or self.routing_number,
            account_number=said.account or self.account_number,
            account_type=kind,
            holder_name=said.name or self.holder_name,
        )
        return AchDetails.parse(merged.fields())


def _name(text: str) -> str:
    remedy = "Give the account holder's name, readable in Latin letters, at most 140 characters."
    if not text.strip() or len(text) > _KEPT_NAME_CHARS:
        raise InstrumentProblem("holder_name_missing", "holder_name", remedy)
    try:
        to_ach_text(text, _NAME_CHARS)
    except AchTextError as error:
        raise InstrumentProblem("holder_name_not_latin", "holder_name", remedy) from error
    return text
