"""Turns a rule that fits an accepted entry into what the bank will deliver, and on which day."""

from datetime import date

from tally_bank_simulator.banking_days import add_banking_days
from tally_bank_simulator.book import Book
from tally_bank_simulator.rules import ActiveRule, Behaviour, Rule, RuleSet

# A correction names a routing number that exists: the Federal Reserve Banks of Boston, New York.
_CORRECTED_ROUTING, _OTHER_ROUTING = "011000015", "021001208"
_PLAIN_SUFFIX = "0100"


def plan_rows(
    entry_id: int, rule: Rule, *, sec: str, received_on: date, settles_on: date
) -> list[dict[str, object]]:
    """Rows for the book's plans: none for `accept`, two for a doubled return.

    A notice of change for an IAT entry is not simulated: its layout is another one.
    """
    is_notice = rule.behaviour is Behaviour.NOTICE_OF_CHANGE
    if rule.behaviour is Behaviour.ACCEPT or (is_notice and sec == "IAT"):
        return []
    assert rule.code is not None
    due_on = (
        received_on if rule.before_settlement else add_banking_days(settles_on, rule.days_after)
    )
    copies = 2 if rule.behaviour is Behaviour.DOUBLED_RETURN else 1
    return [
        {
            "entry_id": entry_id,
            "behaviour": rule.behaviour.value,
            "code": rule.code,
            "before_settlement": int(rule.before_settlement),
            "due_on": due_on.isoformat(),
            "amount_cents": rule.amount_cents,
            "corrected": rule.corrected,
            "is_copy": copy,
            "same_reference": int(rule.same_reference),
        }
        for copy in range(copies)
    ]


class _Booked:
    """An entry of the book as a rule sees it."""

    def __init__(
        self, trace: str, routing: str, account: str, individual_id: str, amount: int
    ) -> None:
        self.trace = trace
        self.routing = routing
        self.account = account
        self.individual_id = individual_id
        self.amount_cents = amount


def plan_existing(book: Book, active: ActiveRule, seed: int) -> int:
    """Apply a new rule to the entries already accepted or settled; gives how many it reached."""
    rules = RuleSet(seed, [active])
    reached = 0
    match = active.rule.match
    query = "SELECT * FROM entries WHERE state IN ('accepted', 'settled')"
    values: tuple[object, ...] = ()
    if match.trace is not None:
        query, values = f"{query} AND trace = ?", (match.trace,)
    for row in book.rows(f"{query} ORDER BY entry_id", *values):
        subject = _Booked(
            row["trace"],
            row["routing"],
            row["account"],
            row["individual_id"],
            row["amount_cents"],
        )
        if rules.use_first({active.rule.behaviour}, [subject], row["trace"]) is None:
            continue
        plans = plan_rows(
            row["entry_id"],
            active.rule,
            sec=row["sec"],
            received_on=date.fromisoformat(row["received_on"]),
            settles_on=date.fromisoformat(row["settles_on"]),
        )
        book.insert_many("plans", plans)
        reached += 1
    book.keep_uses([active])
    return reached


def corrected_data(code: str, routing: str, account: str, transaction_code: str) -> str:
    """What a notice of change says is right, laid out as the specification asks for its code.

    C01 account, C02 routing, C03 both, C05 transaction code, C06 account and code, C07 all three;
    any other code carries the account.
    """
    new_account = account[: -len(_PLAIN_SUFFIX)] + _PLAIN_SUFFIX
    new_routing = _CORRECTED_ROUTING if routing != _CORRECTED_ROUTING else _OTHER_ROUTING
    savings = transaction_code[0] == "3"
    new_code = ("2" if savings else "3") + transaction_code[1]
    match code:
        case "C02":
            return new_routing
        case "C03":
            return f"{new_routing}   {new_account:17}"
        case "C05":
            return new_code
        case "C06":
            return f"{new_account:17}   {new_code}"
        case "C07":
            return f"{new_routing}{new_account:17}{new_code}"
        case _:
            return new_account
