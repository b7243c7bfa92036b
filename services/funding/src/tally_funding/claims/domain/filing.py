"""A filing: money without a sign of its owner goes to a jurisdiction, by two people, line by line."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from tally_funding.answers.refusal import Refusal
from tally_money import Money

LINES_MAX: Final = 500
"""Lines of one filing: its report is one record."""


class FilingState(StrEnum):
    """Where a filing stands. REMITTING: the ledger was asked and has not answered for every line."""

    PROPOSED = "proposed"
    REMITTING = "remitting"
    FILED = "filed"
    DECLINED = "declined"
    VOID = "void"


class LineState(StrEnum):
    """Where a line stands. DROPPED: the wallet was no longer as proposed when it was decided."""

    PROPOSED = "proposed"
    DROPPED = "dropped"
    REMITTING = "remitting"
    REMITTED = "remitted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Line:
    """One wallet's money in a filing; `code` says why the ledger refused it."""

    line_id: str
    account: str
    owner: str
    amount: Money
    period: str
    last_activity_at: datetime
    state: LineState = LineState.PROPOSED
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Filing:
    """A filing with its lines, in the order of their accounts."""

    filing_id: str
    holder: str
    jurisdiction: str
    state: FilingState
    proposed_by: str
    lines: tuple[Line, ...]
    note: str | None = None

    @property
    def standing(self) -> tuple[Line, ...]:
        """The lines that are in it by now."""
        out = {LineState.DROPPED, LineState.REFUSED}
        return tuple(line for line in self.lines if line.state not in out)

    @property
    def totals(self) -> tuple[Money, ...]:
        """What the standing lines come to, one amount per currency in the order of their codes."""
        return totals(line.amount for line in self.standing)


def totals(amounts: Iterable[Money]) -> tuple[Money, ...]:
    """Sums by currency, in the order of their codes."""
    sums: dict[str, Money] = {}
    for amount in amounts:
        code = amount.currency.code
        before = sums.get(code)
        sums[code] = amount if before is None else before + amount
    return tuple(sums[code] for code in sorted(sums))


def digest(filing: Filing) -> str:
    """SHA-256 that names exactly what is proposed."""
    content = [filing.filing_id, filing.holder, filing.jurisdiction] + [
        [line.account, line.owner, line.amount.currency.code, line.amount.wire_amount]
        for line in filing.lines
    ]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def refuse_decision(
    filing: Filing | None, *, filing_id: str, actor: str, principal: str, operator: str
) -> Refusal | None:
    """Why this actor may not decide this filing, if so."""
    if filing is None or principal not in {filing.holder, operator}:
        return Refusal(
            "filing_unknown",
            "/filing_id",
            f"there is no filing {filing_id} of {principal}",
            "name a filing that the principal proposed",
        )
    if filing.state is not FilingState.PROPOSED:
        return Refusal(
            "filing_decided",
            "/filing_id",
            f"the filing is {filing.state}",
            "propose what is reportable since in a filing of its own",
        )
    return same_person(actor, filing.proposed_by)


def same_person(actor: str, proposed_by: str) -> Refusal | None:
    """The refusal of a decision by who proposed it."""
    if actor != proposed_by:
        return None
    return Refusal(
        "same_person",
        "/who/actor",
        f"{proposed_by} proposed this",
        "have another person decide it",
    )


def decide(filing: Filing, unchanged: Mapping[str, Money], *, approve: bool, note: str) -> Filing:
    """The filing once a second person has decided.

    `unchanged` has what the wallets that are still reportable hold, by account: a line whose wallet
    is not, or holds another amount, is dropped, and the next filing takes it.
    """
    assert filing.state is FilingState.PROPOSED, "only a proposal is decided"
    if not approve:
        lines = tuple(replace(line, state=LineState.DROPPED) for line in filing.lines)
        return replace(filing, state=FilingState.DECLINED, lines=lines, note=note)
    lines = tuple(
        replace(
            line,
            state=LineState.REMITTING
            if unchanged.get(line.account) == line.amount
            else LineState.DROPPED,
        )
        for line in filing.lines
    )
    asked = any(line.state is LineState.REMITTING for line in lines)
    state = FilingState.REMITTING if asked else FilingState.VOID
    return replace(filing, state=state, lines=lines, note=note)


def answer(filing: Filing, answers: Mapping[str, str | None]) -> tuple[Filing, Sequence[Line]]:
    """The filing once the ledger has answered, and the lines it answered.

    `answers`: the ledger's code by line, None where it has posted. Lines that do not wait for an
    answer stay as they are; with the last answer the filing is filed, or void if nothing moved.
    """
    answered: list[Line] = []
    lines: list[Line] = []
    for line in filing.lines:
        stands = line
        if line.line_id in answers and line.state is LineState.REMITTING:
            code = answers[line.line_id]
            state = LineState.REMITTED if code is None else LineState.REFUSED
            stands = replace(line, state=state, code=code)
            answered.append(stands)
        lines.append(stands)
    changed = replace(filing, lines=tuple(lines))
    if filing.state is not FilingState.REMITTING or any(
        line.state is LineState.REMITTING for line in lines
    ):
        return changed, answered
    remitted = any(line.state is LineState.REMITTED for line in lines)
    return replace(changed, state=FilingState.FILED if remitted else FilingState.VOID), answered
