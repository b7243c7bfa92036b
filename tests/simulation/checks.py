"""What must hold all along, and what must hold once everything has come to rest."""

import json
from collections import Counter, defaultdict
from itertools import pairwise

from tally_contracts.ledger import CaptureHold, PlaceHold, PostJournal, ReleaseHold, ReverseJournal
from tally_funding.domain import PayInState
from tally_ledger.domain import HoldState, TransferKind
from tally_messaging.parser import parse
from tally_messaging.records import Received
from tally_payouts.domain import states as payout_states
from tally_rails.domain import attempt as attempt_states

from .services import LEDGER, SOURCE, Platform
from .traffic import COMMANDS, Traffic

_ANSWERS = ("ledger.journals.v1", "ledger.holds.v1")
_Asked = PostJournal | ReverseJournal | PlaceHold | CaptureHold | ReleaseHold
_ATTEMPTS_OVER = {"paid", "failed", "cancelled", "returned"}


def conserved(platform: Platform) -> list[str]:
    """Per shard and currency: debits equal credits, posted and pending; nothing below its floor."""
    wrong = []
    for ledger, shard in platform.databases["ledger"].rows["shard"].items():
        sums: Counter[tuple[str, str]] = Counter()
        for account_id, balance in shard.books.balances.items():
            account = shard.books.accounts[account_id]
            sums["posted", account.currency] += balance.debits_posted - balance.credits_posted
            sums["pending", account.currency] += balance.debits_pending - balance.credits_pending
            if min(balance[:4]) < 0:
                wrong.append(f"{ledger}: a counter of {account_id} is negative")
            if account.guarded and balance.available < 0:
                wrong.append(f"{ledger}: {account_id} is overdrawn")
        wrong += [
            f"{ledger}: {key} do not balance by {value}" for key, value in sums.items() if value
        ]
    return wrong


def at_rest(platform: Platform, traffic: Traffic) -> list[str]:
    """Every invariant at quiescence; what is violated, in words."""
    return [
        *conserved(platform),
        *_replayed(platform),
        *_answered(platform),
        *_published(platform),
        *_pay_ins(platform, traffic),
        *_payouts(platform),
        *_bank(platform),
        *_cases(platform, traffic),
    ]


def busy(platform: Platform) -> str | None:
    """What is still under way; None when everything has come to rest."""
    if platform.broker.lag():
        return f"lag {platform.broker.lag()}"
    for name, database in platform.databases.items():
        for lane, head in database.rows["outbox_lane"].items():
            if database.rows["relay"][lane].position != head:
                return f"outbox of {name}"
    if platform.databases["rails"].rows["job"]:
        return "jobs of the bank"
    if platform.databases["rails"].rows["bank"].get("position", 0) != len(platform.bank.lines):
        return "lines of the bank"
    if any(e.state in {"taken", "clearing"} for e in platform.bank.book.values()):
        return "payments at the bank"
    rows = platform.databases["payouts"].rows["payout"]
    standing = [row.payout.state for row in rows.values() if not row.payout.ended]
    if standing:
        return f"{len(standing)} payouts, one {standing[0]}"
    pay_ins = platform.databases["funding"].rows["pay_in"].values()
    if any(row.standing.state is not PayInState.ALLOCATED for row in pay_ins):
        return "pay-ins"
    return None


def _replayed(platform: Platform) -> list[str]:
    """Counters equal what the transfers come to; entries are gap-free; holds resolve once."""
    wrong = []
    rows = platform.databases["ledger"].rows
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    held: dict[str, int] = {}
    for ledger, _, transfer in rows["transfer"].values():
        debit, credit = sums[ledger, transfer.debit], sums[ledger, transfer.credit]
        amount = transfer.amount
        if transfer.kind in {TransferKind.SINGLE, TransferKind.POST} or (
            transfer.kind.value == "reverse"
        ):
            debit[0] += amount
            credit[1] += amount
        if transfer.kind is TransferKind.PENDING:
            debit[2] += amount
            credit[3] += amount
            held[transfer.id] = held.get(transfer.id, 0) + amount
        elif transfer.kind in {TransferKind.POST, TransferKind.VOID, TransferKind.EXPIRE}:
            debit[2] -= amount
            credit[3] -= amount
            held[transfer.pending_id] = held.get(transfer.pending_id, 0) - amount
    for ledger, shard in rows["shard"].items():
        for account_id, balance in shard.books.balances.items():
            if list(balance[:4]) != sums[ledger, account_id]:
                wrong.append(f"{ledger}: {account_id} is {balance[:4]}, transfers say otherwise")
            if any((account_id, seq) not in rows["entry"] for seq in range(1, balance.seq + 1)):
                wrong.append(f"{ledger}: entries of {account_id} have a gap")
        for hold in shard.books.holds.values():
            if held.get(hold.id) != hold.remaining:
                wrong.append(
                    f"{ledger}: hold {hold.id} keeps {hold.remaining}, not {held.get(hold.id)}"
                )
            if (hold.state is HoldState.OPEN) != bool(hold.remaining):
                wrong.append(f"{ledger}: hold {hold.id} is {hold.state} with {hold.remaining}")
    return wrong


def _answered(platform: Platform) -> list[str]:
    """Each command record has one answer, and the same request the same one."""
    wrong = []
    answers: dict[str, list[dict]] = defaultdict(list)
    for row in platform.databases["ledger"].rows["outbox"].values():
        record = row.record
        if record.topic in _ANSWERS:
            body = json.loads(record.payload)
            if not body.get("expired"):
                answers[record.headers["tally_causation_id"]].append(body)
    stable: dict[tuple[str, bytes], str] = {}
    expected = platform._router("ledger").expected()[COMMANDS]
    seen = set()
    for record in _records(platform, COMMANDS):
        item = parse(record, expected)
        if not isinstance(item, Received) or item.envelope.id in seen:
            continue
        seen.add(item.envelope.id)
        given = answers.get(item.envelope.id, [])
        if len(given) != 1:
            wrong.append(f"{item.envelope.type} {item.envelope.id} has {len(given)} answers")
            continue
        if isinstance(item.event, _Asked):
            told = given[0]
            if told.get("code") == "id_conflict":
                # Not remembered, so that it is told anew each time: only its moment differs.
                told = {**told, "occurred_at": None}
            answer = json.dumps(told, sort_keys=True)
            if stable.setdefault((item.envelope.type, item.body_hash), answer) != answer:
                wrong.append(
                    f"{item.envelope.type} {item.envelope.id} was answered otherwise before"
                )
    return wrong


def _records(platform: Platform, topic: str):
    for place in platform.broker.partitions(topic):
        yield from platform.broker.logs.get(place, ())


def _published(platform: Platform) -> list[str]:
    """What was committed is on its topic, nothing else is, in order per key, and everybody saw it."""
    wrong = []
    places: dict[str, tuple[str, int]] = {}
    for service, database in platform.databases.items():
        for (_, seq), row in database.rows["outbox"].items():
            places[row.event_id] = (service, seq)
        for lane, head in database.rows["outbox_lane"].items():
            if any((lane, n) not in database.rows["outbox"] for n in range(1, head + 1)):
                wrong.append(f"{service}: the outbox has a gap")
    found: set[str] = set()
    last: dict[tuple[str, bytes | None, str], int] = {}
    for _, log in sorted(platform.broker.logs.items()):
        for record in log:
            headers = {name: value.decode() for name, value in record.headers}
            event_id = headers["ce_id"]
            if headers["ce_source"] == "/outside" or event_id in found:
                continue
            if event_id not in places:
                wrong.append(f"{headers['ce_type']} {event_id} was published and never committed")
                continue
            found.add(event_id)
            service, seq = places[event_id]
            key = (record.topic, record.key, service)
            if last.get(key, 0) >= seq:
                wrong.append(f"{record.topic}: {record.key} is out of order at {record.offset}")
            last[key] = seq
    lost = len(places.keys() - found)
    if lost:
        wrong.append(f"{lost} committed events were never published")
    return [*wrong, *_inboxes(platform)]


def _inboxes(platform: Platform) -> list[str]:
    """Each record a consumer handles is in its inbox."""
    wrong = []
    for service, database in platform.databases.items():
        for topic, expected in platform._router(service).expected().items():
            for record in _records(platform, topic):
                item = parse(record, expected)
                if (
                    isinstance(item, Received)
                    and (service, item.event_key) not in database.rows["inbox"]
                ):
                    wrong.append(f"{service} never applied {item.envelope.type} {item.envelope.id}")
    return wrong


def _pay_ins(platform: Platform, traffic: Traffic) -> list[str]:
    """Each announcement is booked once, for its amount, and its payout exists."""
    wrong = []
    rows = platform.databases["funding"].rows["pay_in"]
    journals = platform.databases["ledger"].rows["journal"]
    payouts = platform.databases["payouts"].rows["payout"]
    begun: Counter[str] = Counter(row.payout.order.pay_in_id for row in payouts.values())
    if len(rows) != len(traffic.pay_ins):
        wrong.append(f"{len(traffic.pay_ins)} pay-ins announced, {len(rows)} booked")
    for external, (_, _, amount) in traffic.pay_ins.items():
        row = rows.get(platform.books.pay_in_id(SOURCE, external))
        if row is None or row.new.content.amount.wire_amount != amount:
            wrong.append(f"pay-in {external} of {amount} is not booked as announced")
            continue
        journal = journals.get(row.standing.journal_id)
        if (
            journal is None
            or sum(leg.amount for leg in journal.legs) != row.new.content.amount.minor
        ):
            wrong.append(f"pay-in {external} is not in the ledger as announced")
        wanted = {d.wallet.id for d in row.new.designated if d.part.pay_out}
        if begun[row.new.pay_in_id] != len(wanted):
            wrong.append(f"pay-in {external} began {begun[row.new.pay_in_id]} payouts")
    return wrong


def _payouts(platform: Platform) -> list[str]:
    """Histories are legal and gap-free, and the hold and the attempt ended as the payout did."""
    wrong = []
    rows = platform.databases["payouts"].rows
    shard = platform.databases["ledger"].rows["shard"][LEDGER]
    attempts = platform.databases["rails"].rows["attempt"]
    for payout_id, row in sorted(rows["payout"].items()):
        payout = row.payout
        path = [rows["history"].get((payout_id, n)) for n in range(1, payout.sequence + 1)]
        if None in path or not _legal([state for _, state in path]):
            wrong.append(f"{payout_id}: its history {path} is not a path")
        if path[-1] is not None and path[-1][1] is not payout.state:
            wrong.append(f"{payout_id}: its history ends otherwise")
        hold = shard.books.holds.get(payout.hold_id)
        left = payout.state.value in {"paid", "returned"}
        if left != (hold is not None and hold.state is HoldState.CAPTURED):
            wrong.append(f"{payout_id} is {payout.state} and its hold {hold and hold.state}")
        if hold is not None and hold.state is HoldState.OPEN:
            wrong.append(f"{payout_id} ended and its hold is open")
        attempt = attempts.get(payout.attempt_id)
        if attempt is not None and attempt.attempt.state.value not in _ATTEMPTS_OVER:
            wrong.append(f"{payout_id} ended and its attempt is {attempt.attempt.state}")
    return [*wrong, *_statuses(platform)]


def _legal(path: list) -> bool:
    steps = pairwise(path)
    return path[0] in payout_states.FIRST and all(
        after in payout_states.ALLOWED[before] for before, after in steps
    )


def _statuses(platform: Platform) -> list[str]:
    """The public status rises strictly, one sequence after the other, to the state in the database."""
    wrong = []
    last: dict[str, dict] = {}
    seen = set()
    for record in _records(platform, "payouts.status.v1"):
        event_id = dict(record.headers)["ce_id"]
        if event_id in seen:
            continue
        seen.add(event_id)
        body = json.loads(record.value)
        before = last.get(body["payout_id"], {"sequence": 0, "rank": 0})
        if body["sequence"] != before["sequence"] + 1 or body["rank"] <= before["rank"]:
            wrong.append(
                f"{body['payout_id']}: status {body['sequence']} after {before['sequence']}"
            )
        last[body["payout_id"]] = body
    for payout_id, row in platform.databases["payouts"].rows["payout"].items():
        if last.get(payout_id, {}).get("state") != row.payout.state.value:
            wrong.append(f"{payout_id}: the public status is not the state {row.payout.state}")
    return wrong


def _bank(platform: Platform) -> list[str]:
    """The bank did each payout once at most, and its book agrees with ours."""
    wrong = []
    executed: Counter[str] = Counter()
    payouts = platform.databases["payouts"].rows["payout"]
    for key, execution in platform.bank.book.items():
        if execution.state == "refused":
            continue
        executed[execution.payout_id] += 1
        row = payouts.get(execution.payout_id)
        ours = None if row is None else row.payout.state.value
        theirs = {"settled": "paid", "refused_late": "failed"}.get(execution.state, execution.state)
        if ours != theirs:
            wrong.append(f"{key} is {execution.state} at the bank and {ours} here")
    wrong += [f"the bank paid {payout} {n} times" for payout, n in executed.items() if n > 1]
    for payout_id, row in payouts.items():
        route = row.payout.route
        by_bank = route is not None and route.rail == "bank"
        if row.payout.state.value == "paid" and by_bank and executed[payout_id] != 1:
            wrong.append(f"{payout_id} is paid here and unknown to the bank")
    for attempt_id, row in platform.databases["rails"].rows["attempt"].items():
        history = platform.databases["rails"].rows["attempt_history"]
        path = [history.get((attempt_id, n)) for n in range(1, row.attempt.sequence + 1)]
        if None in path or any(
            before is not None and after not in attempt_states.ALLOWED[before]
            for before, after in path
        ):
            wrong.append(f"{attempt_id}: its history is not a path")
    return wrong


def _cases(platform: Platform, traffic: Traffic) -> list[str]:
    """Only what is bad was set aside, and nothing needs a person."""
    wrong = []
    for service, database in platform.databases.items():
        codes = Counter(
            row.code for row in database.rows["quarantine"].values() if row.state == "open"
        )
        if codes.total() != (traffic.garbage if service == "ledger" else 0):
            wrong.append(f"{service} set aside {dict(codes)}")
        for table in ("payout_case", "rail_case"):
            wrong += [f"{service} opened a case: {case}" for case in database.rows[table].values()]
    return wrong
