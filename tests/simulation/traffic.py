"""What the outside world sends: money, choices, cancellations, and a mix of ledger commands."""

import json
from dataclasses import dataclass, field
from datetime import timedelta

from tally_contracts.base import Where, Who, Why
from tally_contracts.funding import FundingReceived
from tally_contracts.ledger import CaptureHold, PlaceHold, PostJournal, ReleaseHold, ReverseJournal
from tally_contracts.payouts import CancelPayout, ChooseMethod
from tally_contracts.rails import RegisterInstrument
from tally_messaging import Cause, outgoing_headers
from tally_messaging.envelope import encode_headers
from tally_railkit.sealing import seal
from tally_runtime import SeededIds, derived_id

from .services import KEY, MIXED, SOURCE, TENANT, Platform
from .world import BEGINNING

COMMANDS = "ledger.commands.v1"
CURRENCIES = {"USD": 2, "JPY": 0, "KWD": 3}
PAYEES = 6
ACCOUNTS = 5
_WS = {
    "who": Who(actor="svc:outside", principal="co_1"),
    "where": Where(channel="api", country="DE"),
    "why": Why(program="supplier-payments", event="invoice:7", reason="Invoice 7"),
}


@dataclass
class Traffic:
    """Sends as long as `sending`; remembers what it asked for, so that it can ask again."""

    platform: Platform
    sending: bool = True
    pay_ins: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    garbage: int = 0
    sent: int = 0
    _journals: list[tuple[str, list[dict]]] = field(default_factory=list)
    _holds: list[tuple[str, str, int]] = field(default_factory=list)
    _repeatable: list[tuple[str, str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = self.platform.world
        self.rng = self.world.rng
        self._ids = SeededIds(self.world.seed, _OutsideClock(self.world))

    def begin(self) -> None:
        """Details and choices of every payee, in no particular order, then everything else."""
        setups = [
            (kind, payee, code)
            for payee in range(PAYEES)
            for code in CURRENCIES
            for kind in ("register", "choose")
        ]
        self.rng.shuffle(setups)
        for setup in setups:
            self.world.loop.call_later(self.rng.choice([0.1, 1, 5, 12]), self._set_up, *setup)
        self.world.loop.call_later(0.5, self._next)

    def _next(self) -> None:
        if not self.sending:
            return
        send = self.rng.choices(
            [self._pay_in, self._mixed, self._again, self._cancel, self._bad, self._world_turns],
            [6, 12, 3, 1, 0.1, 0.6],
        )[0]
        send()
        self.world.loop.call_later(self.rng.expovariate(1 / 0.25), self._next)

    def _world_turns(self) -> None:
        if self.world.faulty:
            broker = self.platform.broker
            self.rng.choice([broker.publish_again, broker.publish_again, broker.reset_offsets])()

    def _set_up(self, kind: str, payee: int, code: str) -> None:
        owner, rail = f"pty_{payee}", "wallet" if payee < 2 else "bank"
        instrument = derived_id("ins", owner, code)
        now = _now(self.world)
        if kind == "choose":
            choice = ChooseMethod(
                owner=owner,
                currency=code,
                rail=rail,
                instrument=instrument,
                who=_WS["who"],
                occurred_at=now,
            )
            self._publish("payouts.commands.v1", owner, choice)
            return
        wallet = derived_id("acc", TENANT, f"wallet/pty_{PAYEES - 1}/{code}")
        details = {"account": wallet} if rail == "wallet" else {"number": "1"}
        event = RegisterInstrument(
            instrument_id=instrument,
            rail=rail,
            owner=owner,
            currency=code,
            sealed=seal(details, KEY, instrument_id=instrument, rail=rail),
            who=_WS["who"],
            occurred_at=now,
        )
        self._publish("rails.commands.v1", owner, event)

    def _pay_in(self) -> None:
        number = len(self.pay_ins) + 1
        code = self.rng.choice(sorted(CURRENCIES))
        owner = f"pty_{self.rng.randrange(PAYEES)}"
        amount = _decimal(self.rng.randint(500, 900_000), code)
        self.pay_ins[f"m-{number}"] = (owner, code, amount)
        event = FundingReceived(
            **_WS,
            occurred_at=_now(self.world),
            external_id=f"m-{number}",
            amount={"currency": code, "amount": amount},
            originator={"reference": "debtor-1", "country": "DE"},
            company="co_1",
            beneficiary={"party": owner},
            value_date="2026-09-21",
        )
        self._publish(f"funding.inbound.{SOURCE}.v1", f"m-{number}", event, repeat=True)

    def _cancel(self) -> None:
        if not self.pay_ins:
            return
        external = self.rng.choice(list(self.pay_ins)[-8:])
        owner, code, _ = self.pay_ins[external]
        books = self.platform.books
        pay_in = books.pay_in_id(SOURCE, external)
        payout = derived_id("po", pay_in, books.wallet(owner, code).id)
        event = CancelPayout(
            payout_id=payout, who=_WS["who"], reason="Not any more", occurred_at=_now(self.world)
        )
        self._publish("payouts.commands.v1", payout, event)

    def _mixed(self) -> None:
        """One command to the ledger that nobody else uses."""
        number = self.sent
        common = {**_WS, "occurred_at": _now(self.world), "ledger": MIXED}
        common["reference"] = derived_id("ref", str(number))
        kinds = ["post", "place", "capture", "release", "reverse"]
        kind = self.rng.choices(kinds, [4, 4, 4, 2, 1])[0]
        amount = self.rng.randint(1, 5000)
        if kind in {"capture", "release"} and not self._holds:
            kind = "place"
        if kind == "post" or not self._journals:
            event = self._journal(common, number, amount)
        elif kind == "reverse":
            event = self._reversal(common, number)
        elif kind == "place":
            event = self._place(common, number, amount)
        else:
            hold, code, held = self.rng.choice(self._holds[-12:])
            transfer = derived_id("trf", kind, str(number))
            part = {"currency": code, "amount": _decimal(self.rng.randint(1, held), code)}
            event = (
                CaptureHold(**common, transfer_id=transfer, hold_id=hold, amount=part, code="mix")
                if kind == "capture"
                else ReleaseHold(**common, transfer_id=transfer, hold_id=hold, code="mix")
            )
        # Callers that do not key by ledger make two replicas write to one shard at once.
        key = MIXED if self.rng.random() < 0.5 else event.reference
        self._publish(COMMANDS, key, event, repeat=True)

    def _journal(self, common, number: int, amount: int):
        code = self.rng.choice(sorted(CURRENCIES))
        legs = []
        accounts = {}
        for leg in range(self.rng.randint(1, 4)):
            fill = leg == 0 and self.rng.random() < 0.7
            first = "source" if fill else str(self.rng.randrange(ACCOUNTS))
            ends = [_account(name, code) for name in (first, str(self.rng.randrange(ACCOUNTS)))]
            accounts |= {account["id"]: account for account in ends}
            legs.append(
                {
                    "id": derived_id("trf", "leg", str(number), str(leg)),
                    "debit": ends[0]["id"],
                    "credit": ends[1]["id"],
                    "amount": {
                        "currency": code,
                        "amount": _decimal(amount * 10 if fill else amount, code),
                    },
                    "code": "mix",
                }
            )
        self._journals.append((derived_id("jrn", "mix", str(number)), legs))
        return PostJournal(
            **common,
            journal_id=derived_id("jrn", "mix", str(number)),
            open_accounts=tuple(accounts.values()),
            legs=tuple(legs),
            effective_at=_now(self.world),
        )

    def _reversal(self, common, number: int):
        """Moves one leg back, all of it or a part, or more than is left of it."""
        journal, legs = self.rng.choice(self._journals[-10:])
        leg = self.rng.choice(legs)
        back = {"id": derived_id("trf", "back", str(number)), "reverses": leg["id"], "code": "mix"}
        code = leg["amount"]["currency"]
        part = self.rng.choice([leg["amount"], {"currency": code, "amount": _decimal(1, code)}])
        return ReverseJournal(
            **common,
            journal_id=derived_id("jrn", "back", str(number)),
            reverses=journal,
            legs=({**back, "amount": part},),
            effective_at=_now(self.world),
        )

    def _place(self, common, number: int, amount: int):
        code = self.rng.choice(sorted(CURRENCIES))
        debit, credit = (
            _account(str(self.rng.randrange(ACCOUNTS)), code),
            _account("settlement", code),
        )
        expires = None
        if self.rng.random() < 0.6:
            expires = _now(self.world) + timedelta(seconds=self.rng.choice([1, 3, 8, 60]))
        hold = derived_id("hld", "mix", str(number))
        self._holds.append((hold, code, amount))
        return PlaceHold(
            **common,
            hold_id=hold,
            open_accounts=(debit, credit),
            debit=debit["id"],
            credit=credit["id"],
            amount={"currency": code, "amount": _decimal(amount, code)},
            code="mix",
            expires_at=expires,
        )

    def _again(self) -> None:
        """The same request under a new record id, or its id with another content."""
        if not self._repeatable:
            return
        topic, key, event = self.rng.choice(self._repeatable[-40:])
        if isinstance(event, CaptureHold | PlaceHold) and self.rng.random() < 0.3:
            event = event.model_copy(update={"code": "other"})
        self._publish(topic, key, event)

    def _bad(self) -> None:
        """A record that is no command: set aside, once."""
        self.garbage += 1
        self._send(COMMANDS, MIXED, json.dumps({"amount": 1.5}).encode(), PostJournal.TYPE)

    def _publish(self, topic: str, key: str, event, *, repeat: bool = False) -> None:
        if repeat:
            self._repeatable.append((topic, key, event))
        self._send(topic, key, event.model_dump_json().encode(), event.TYPE)

    def _send(self, topic: str, key: str, payload: bytes, kind: str) -> None:
        self.sent += 1
        event_id = str(self._ids.uuid7())
        headers = outgoing_headers(
            event_id=event_id,
            source="/outside",
            event_type=kind,
            at=_now(self.world),
            subject=key,
            cause=Cause(correlation_id=event_id),
        )
        self.platform.broker.append(topic, key.encode(), payload, encode_headers(headers))


class _OutsideClock:
    def __init__(self, world) -> None:
        self._world = world

    def now(self):
        return _now(self._world)

    def monotonic(self) -> float:
        return self._world.loop.time()


def _now(world):
    return BEGINNING + timedelta(microseconds=round(world.loop.time() * 1e6))


def _decimal(minor: int, code: str) -> str:
    scale = CURRENCIES[code]
    if scale == 0:
        return str(minor)
    digits = str(minor).rjust(scale + 1, "0")
    return f"{digits[:-scale]}.{digits[-scale:]}"


def _account(name: str, code: str) -> dict:
    guarded = name not in {"source", "settlement"}
    return {
        "id": derived_id("acc", MIXED, name, code),
        "owner": "mix",
        "purpose": "wallet" if guarded else "clearing",
        "path": f"mix/{name}/{code}",
        "currency": code,
        "guarded": guarded,
    }
