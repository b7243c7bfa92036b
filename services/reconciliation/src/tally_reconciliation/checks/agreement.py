"""O13: what is kept of one thing in two places says the same; the columns that do not are named."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tally_money import UnknownCurrency, currency
from tally_reconciliation.findings import Findings
from tally_reconciliation.report import Check, Quiet
from tally_reconciliation.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Pair:
    """Two accounts of one thing: a table of ours, or a question, and what it is compared with.

    `on` and `same` are columns here and there. A row here must have one there, unless another check
    or another database answers for it (`must`); with `both`, a row there must have one here too.
    """

    here: str
    there: str
    on: Mapping[str, str]
    same: Mapping[str, str] = field(default_factory=dict)
    both: bool = False
    must: bool = True
    here_is: str = ""
    there_is: str = ""

    @property
    def schemas(self) -> frozenset[str]:
        """The schemas that both have to be there for."""
        names = (self.here_is or self.here, self.there_is or self.there)
        return frozenset(name.partition(".")[0] for name in names)

    def query(self) -> str:
        """Rows that differ: the key, what is missing, and in which columns they do."""
        joined = " AND ".join(f"h.{a} = t.{b}" for a, b in self.on.items())
        key, other = next(iter(self.on.items()))
        differing = ", ".join(
            f"CASE WHEN h.{a} IS DISTINCT FROM t.{b} THEN '{a}' END" for a, b in self.same.items()
        )
        missing = "not_there OR" if self.must else "NOT not_there AND"
        told = f"concat_ws(' ', {differing})" if differing else "''"
        return (
            f"SELECT * FROM (SELECT coalesce(h.{key}::text, t.{other}::text) AS key,"
            f" h.{key} IS NULL AS not_here, t.{other} IS NULL AS not_there, {told} AS columns"
            f" FROM ({_rows(self.here)}) h {'FULL' if self.both else 'LEFT'} JOIN"
            f" ({_rows(self.there)}) t ON {joined}) d"
            f" WHERE not_here OR {missing} columns <> '' ORDER BY key"
        )


def _rows(name: str) -> str:
    return name if name.startswith("SELECT") else f"SELECT * FROM {name}"


def _alike(*names: str, **others: str) -> dict[str, str]:
    return {**{name: name for name in names}, **others}


_CASES = (
    """SELECT c.*, p.source FROM funding.suspense_case c JOIN funding.pay_in p USING (case_id)"""
)
_SHOWN_CASES = "SELECT * FROM portfolio.pay_in WHERE reason_code IS NOT NULL"
_CHOSEN = "SELECT * FROM payouts.method WHERE instrument IS NOT NULL"
_LAST_STEP = """SELECT DISTINCT ON (payout_id) * FROM payouts.payout_history
ORDER BY payout_id, sequence DESC"""
_LAST_ATTEMPT_STEP = """SELECT DISTINCT ON (attempt_id) * FROM rails.attempt_history
ORDER BY attempt_id, sequence DESC"""
_NEWEST_METHOD = (
    """SELECT owner, currency, max(version) AS versions FROM payouts.method GROUP BY 1, 2"""
)
_PLACED = """SELECT h.*, t.expires_at AS placed_until, j.reference AS placed_for,
CASE WHEN h.state = 'open' THEN t.expires_at END AS due
FROM ledger.hold h JOIN ledger.transfer t ON t.id = h.id AND t.kind = 'pending'
JOIN ledger.journal j ON j.id = t.journal_id"""
_SETTLED = "SELECT * FROM funding.pay_in WHERE state IN ('allocated', 'suspense')"
# While a payout is held its row says what holds it now; its state was told with what held it first.
_TOLD = "SELECT * FROM payouts.payout WHERE state <> 'held'"
# A rail is told whose method it pays by, which of a payee that was merged may be the kept one's.
_SUBMITTED = """SELECT *, coalesce(method_owner, owner) AS paid_to
FROM payouts.payout WHERE attempt IS NOT NULL"""
_RETURNED = "SELECT * FROM payouts.payout WHERE return_reference IS NOT NULL"
# The portfolio counts registered assets in decimals of its own, and knows nothing of money that
# came from a ledger of another database.
_SHOWN_BALANCES = """SELECT account, currency, posted, held FROM portfolio.balance
WHERE currency NOT IN (SELECT code FROM ledger.asset WHERE registered_at IS NOT NULL)
AND NOT EXISTS (SELECT FROM ledger.cross_transfer) AND NOT EXISTS (SELECT FROM ledger.cross_credit)"""
_BALANCES = """SELECT id, asset AS currency, credits_posted - debits_posted AS posted,
debits_pending AS held FROM ledger.account"""
_TO_BE_PAID = """SELECT pay_in_id, count(*) FILTER (WHERE pay_out)::int AS to_be_paid
FROM funding.allocation JOIN funding.pay_in USING (pay_in_id) WHERE state = 'allocated' GROUP BY 1"""
_OF_PAY_INS = "SELECT * FROM payouts.payout WHERE pay_in_id IS NOT NULL"
# Payouts that have opened since pay-ins say their kind.
_OF_A_KIND = "SELECT * FROM payouts.payout WHERE pay_in_id IS NOT NULL AND kind IS NOT NULL"
_CREDITED = "SELECT DISTINCT account, owner FROM funding.allocation"
_FROM_LINES = "SELECT * FROM funding.statement_entry WHERE pay_in_id IS NOT NULL"
# Another message of the bank may give the same money another value date: of the line that made the
# pay-in it is told.
_MADE_BY = """SELECT e.pay_in_id, coalesce(e.value_date, e.booking_date, s.last_day) AS value_date
FROM funding.statement_entry e JOIN funding.statement s USING (statement_key)
WHERE e.outcome = 'pay_in'"""
_STATED = """SELECT s.statement_key, s.closing, s.currency, s.opening + coalesce(sum(
CASE WHEN e.credit THEN e.amount ELSE -e.amount END), 0) AS found
FROM funding.statement s LEFT JOIN funding.statement_entry e
ON e.statement_key = s.statement_key AND e.status = 'booked' GROUP BY s.statement_key"""
_FILES = """SELECT f.id, f.entries, encode(sha256(f.content), 'hex') AS digest,
(SELECT count(*)::int FROM rails.ach_entry e WHERE e.file_id = f.id) AS found FROM rails.ach_file f"""
_REGISTERED = "SELECT * FROM ledger.asset WHERE registered_at IS NOT NULL"
_TOLD_ASIDE = """SELECT q.consumer || ' ' || q.topic || ' ' || q.partition || ' ' || q."offset" AS place,
q.code, q.detail FROM {schema}.quarantine q"""
_SHOWN_ASIDE = """SELECT consumer || ' ' || topic || ' ' || partition || ' ' || "offset" AS place, code,
detail FROM portfolio.set_aside WHERE consumer = '{schema}'"""

# Of the ledgers whose books are in this database.
_SHOWN_ACCOUNTS = """SELECT p.* FROM portfolio.account p
WHERE ledger IN (SELECT shard FROM ledger.shard_state)
OR account_id IN (SELECT id FROM ledger.account)"""

# Lines whose wallets are in the books of this database; the jurisdiction's account says whose it is.
_REMITTED = """SELECT l.line_id, l.account, l.currency, l.amount, 'escheat:' || f.jurisdiction AS taken_by
FROM funding.unclaimed_line l JOIN funding.unclaimed_filing f USING (filing_id)
WHERE l.state = 'remitted' AND EXISTS (SELECT FROM ledger.account a WHERE a.id = l.account)"""
_REMITTANCES = """SELECT j.reference, t.debit AS account, t.asset AS currency, t.amount, a.owner AS taken_by
FROM ledger.journal j JOIN ledger.transfer t ON t.journal_id = j.id
JOIN ledger.account a ON a.id = t.credit
WHERE t.code = 'escheat' AND j.reference LIKE 'esc\\_%'"""
# A known owner has it back where it was, anybody else in the claimant's own wallet.
_RECLAIMED = """SELECT r.reference, l.currency, l.amount, 'escheat:' || f.jurisdiction AS given_by,
CASE WHEN l.owner = r.claimant THEN l.account ELSE r.claimant END AS given_to
FROM funding.reclaim r JOIN funding.unclaimed_line l USING (line_id)
JOIN funding.unclaimed_filing f USING (filing_id)
WHERE r.state = 'moved' AND EXISTS (SELECT FROM ledger.account a WHERE a.id = l.account)"""
_GIVEN_BACK = """SELECT j.reference, t.asset AS currency, t.amount, d.owner AS given_by,
CASE WHEN l.owner = r.claimant THEN c.id ELSE c.owner END AS given_to
FROM ledger.journal j JOIN ledger.transfer t ON t.journal_id = j.id
JOIN ledger.account d ON d.id = t.debit JOIN ledger.account c ON c.id = t.credit
LEFT JOIN funding.reclaim r ON r.reference = j.reference
LEFT JOIN funding.unclaimed_line l ON l.line_id = r.line_id
WHERE t.code = 'reclaim' AND j.reference LIKE 'rcl\\_%'"""
_BY_LINES = """SELECT f.filing_id, CASE
WHEN bool_or(l.state = 'proposed') THEN 'proposed' WHEN bool_or(l.state = 'remitting') THEN 'remitting'
WHEN bool_or(l.state = 'remitted') THEN 'filed' WHEN bool_or(l.state = 'refused') THEN 'void'
WHEN f.state = 'declined' THEN 'declined' ELSE 'void' END AS state
FROM funding.unclaimed_filing f LEFT JOIN funding.unclaimed_line l USING (filing_id)
GROUP BY f.filing_id"""

PAIRS = (
    Pair(
        "ledger.account", _SHOWN_ACCOUNTS, {"id": "account_id"},
        _alike("owner", "purpose", "path", "opened_at", shard="ledger", asset="currency"), both=True,
        there_is="portfolio.account",
    ),
    Pair(
        "payouts.payout", "portfolio.payout", {"id": "payout_id"},
        _alike("pay_in_id", "owner", "company", "account", "rail"),
    ),
    Pair(
        _TOLD, "portfolio.payout", {"id": "payout_id"},
        _alike("reason_code", "must_act", "changed_at"), here_is="payouts.payout",
    ),
    Pair(
        "funding.pay_in", "portfolio.pay_in", {"pay_in_id": "pay_in_id"},
        _alike("source", "external_id", "company", "received_at", "correlation_id",
               beneficiary="owner"),
    ),
    Pair(
        _TO_BE_PAID, "portfolio.pay_in", {"pay_in_id": "pay_in_id"},
        _alike(to_be_paid="payouts_expected"), here_is="funding.allocation",
    ),
    Pair(
        _OF_PAY_INS, "funding.pay_in", {"pay_in_id": "pay_in_id"}, _alike("external_id", "source"),
        here_is="payouts.payout",
    ),
    Pair(
        _OF_A_KIND, "funding.pay_in", {"pay_in_id": "pay_in_id"}, _alike("kind"),
        here_is="payouts.payout",
    ),
    Pair(
        _SHOWN_BALANCES, _BALANCES, {"account": "id"}, _alike("currency", "posted", "held"),
        here_is="portfolio.balance", there_is="ledger.account",
    ),
    Pair(
        "payouts.wallet", _CREDITED, {"account": "account"}, _alike("owner"), must=False,
        there_is="funding.allocation",
    ),
    Pair(
        _CASES, _SHOWN_CASES, {"pay_in_id": "pay_in_id"}, _alike("reason_code", "remedy"), both=True,
        here_is="funding.suspense_case", there_is="portfolio.pay_in",
    ),
    Pair("funding.suspense_case", "funding.pay_in", {"pay_in_id": "pay_in_id"}),
    Pair(
        _SETTLED, "ledger.journal", {"journal_id": "id"},
        _alike(actor="who_actor", principal="who_principal", channel="where_channel",
               country="where_country", program="why_program", event="why_event",
               reason="why_reason"),
        must=False, here_is="funding.pay_in",
    ),
    Pair(
        "payouts.wallet", "ledger.account", {"account": "id"}, _alike("owner", currency="asset"),
        must=False,
    ),
    Pair(
        "payouts.payout", "ledger.account", {"account": "id"},
        _alike("owner", ledger="shard", currency="asset"), must=False,
    ),
    Pair(
        "payouts.instrument", "rails.instrument", {"id": "id"},
        _alike("rail", "owner", "currency", "settlement_account", "state"), both=True,
    ),
    Pair(
        "rails.attempt", _SUBMITTED, {"id": "attempt_id"},
        _alike("company", owner="paid_to", instrument_id="instrument"),
        there_is="payouts.payout",
    ),
    Pair(
        _CHOSEN, "payouts.instrument", {"instrument": "id"},
        _alike("owner", "currency", "rail", "settlement_account"), here_is="payouts.method",
    ),
    Pair(
        _NEWEST_METHOD, "payouts.payee", {"owner": "owner", "currency": "currency"},
        _alike("versions"), here_is="payouts.method",
    ),
    Pair(
        _TOLD, _LAST_STEP, {"id": "payout_id"},
        _alike("reason_code", "must_act", changed_at="at"), here_is="payouts.payout",
        there_is="payouts.payout_history",
    ),
    Pair(
        "rails.attempt", _LAST_ATTEMPT_STEP, {"id": "attempt_id"},
        _alike("code", "source", changed_at="at"), there_is="rails.attempt_history",
    ),
    Pair(
        _RETURNED, "payouts.return_seen", {"id": "payout_id"},
        _alike("attempt_id", "return_reference"), both=True, here_is="payouts.payout",
    ),
    Pair(
        _PLACED, _PLACED, {"id": "id"}, _alike(reference="placed_for", expires_at="due"),
        here_is="ledger.hold", there_is="ledger.transfer",
    ),
    Pair(
        _FROM_LINES, "funding.pay_in", {"pay_in_id": "pay_in_id"}, here_is="funding.statement_entry",
    ),
    Pair(
        _MADE_BY, "funding.pay_in", {"pay_in_id": "pay_in_id"}, _alike("value_date"),
        here_is="funding.statement_entry",
    ),
    Pair(
        "funding.statement_entry", "funding.statement", {"statement_key": "statement_key"},
    ),
    Pair(
        "funding.statement", _STATED, {"statement_key": "statement_key"}, _alike(closing="found"),
        there_is="funding.statement_entry",
    ),
    Pair(
        "rails.ach_file", _FILES, {"id": "id"}, _alike(entries="found", sha256="digest"),
        there_is="rails.ach_entry",
    ),
    Pair("rails.ach_entry", "rails.ach_file", {"file_id": "id"}),
    Pair(
        _REMITTED, _REMITTANCES, {"line_id": "reference"},
        _alike("account", "currency", "amount", "taken_by"), both=True,
        here_is="funding.unclaimed_line", there_is="ledger.transfer",
    ),
    Pair(
        _RECLAIMED, _GIVEN_BACK, {"reference": "reference"},
        _alike("currency", "amount", "given_by", "given_to"), both=True,
        here_is="funding.reclaim", there_is="ledger.transfer",
    ),
    Pair(
        "funding.unclaimed_filing", _BY_LINES, {"filing_id": "filing_id"}, _alike("state"),
        there_is="funding.unclaimed_line",
    ),
    Pair(
        "funding.unclaimed_line", "funding.unclaimed_filing", {"filing_id": "filing_id"},
        _alike("tenant"),
    ),
    Pair(
        _REGISTERED, "ledger.asset_registration", {"code": "asset"},
        _alike(registered_at="recorded_at"), both=True, here_is="ledger.asset",
    ),
    *(
        Pair(
            _TOLD_ASIDE.format(schema=schema) + " WHERE q.state <> 'duplicate'"
            " AND q.code <> 'parked' AND q.consumer <> 'relay'",
            _SHOWN_ASIDE.format(schema=schema), {"place": "place"}, _alike("code", "detail"),
            both=True, here_is=f"{schema}.quarantine", there_is="portfolio.set_aside",
        )
        for schema in ("funding", "ledger", "payouts", "rails", "directory", "programs", "kyc", "gateway")
    ),
)  # fmt: skip

_ASSETS = "SELECT code, scale::int AS scale, kind, registered_at FROM ledger.asset ORDER BY code"


async def check_agreement(snap: Snapshot, quiet: Quiet) -> Check:
    """Compare copies column by column, and the scale of each asset with the standard's."""
    found = Findings("O13", "what is kept of one thing in two places says the same")
    pairs = [pair for pair in PAIRS if pair.schemas <= snap.schemas]
    for pair in pairs:
        here, there = pair.here_is or pair.here, pair.there_is or pair.there
        async for row in snap.rows(pair.query()):
            where = {"table": here, "other": there, "key": row["key"]}
            if row["not_here"] or row["not_there"]:
                found.unfinished(
                    "twin_missing", **where, missing=there if row["not_there"] else here
                )
            else:
                found.unfinished("twins_differ", **where, columns=row["columns"])
    if "ledger" in snap.schemas:
        for row in await snap.all(_ASSETS):
            _asset(found, row["code"], row["scale"], registered=row["registered_at"] is not None)
    found.figures["pairs"] = len(pairs)
    return found.once_quiet(f"{len(pairs)} pairs of tables", quiet)


def _asset(found: Findings, code: str, scale: int, *, registered: bool) -> None:
    if registered:
        return
    try:
        standard = currency(code).exponent
    except UnknownCurrency:
        found.wrong("asset_of_nobody", asset=code)
        return
    if standard != scale:
        found.wrong("asset_scale_differs", asset=code, scale=scale, standard=standard)
