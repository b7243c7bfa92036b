"""What an export becomes in another installation: commands, in waves that each need the one before."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tally_cli.moving.archive import read_rows, usable
from tally_cli.moving.history import SHOWN_AS_BROUGHT, History, accounts
from tally_cli.moving.owed import Owed, refuse_waiting
from tally_cli.moving.past import FILES, TOPIC, Past
from tally_contracts import directory, funding_rules, ledger, programs
from tally_contracts.base import Event, Who, Why
from tally_contracts.operations_history import TOLD_APART
from tally_money import AssetKind, Currency, iso_currencies
from tally_runtime import derived_id

OPERATOR = Who(actor="cli", principal=directory.OPERATOR)
REASON = "Brought from another installation"
_WAVE_MAX = 500
BROUGHT = frozenset(
    {
        "directory.party.jsonl",
        "directory.relation_type.jsonl",
        "directory.relation.jsonl",
        "directory.membership.jsonl",
        "directory.wallet.jsonl",
        "programs.program.jsonl",
        "programs.document.jsonl",
        "programs.budget.jsonl",
        "programs.reservation.jsonl",
        "programs.payable.jsonl",
        "programs.settlement.jsonl",
        "funding.allocation_rule.jsonl",
        "funding.allocation_rule_version.jsonl",
        "ledger.asset.jsonl",
        "ledger.account.jsonl",
        "ledger.journal.jsonl",
        "ledger.transfer.jsonl",
        "directory.owner_reference.jsonl",
        "funding.pay_in.jsonl",
        "payouts.payout.jsonl",
        *FILES,
    }
)
"""Files that an import makes something of; the others are history to be kept and read."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A command and where it goes. `of` names the row it comes from."""

    event: Event
    topic: str
    key: str
    of: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Waves of commands, and the balance each account must have after them, in minor units.

    `parties` and `accounts` are the tenant's, with the place of the row of each, and `owners` are all
    ids and references whose accounts are its own. `told` is for the views alone, and goes when the
    commands are done; `past` says of what it tells, None where the export holds nothing of it.
    """

    waves: tuple[tuple[Planned, ...], ...]
    balances: Mapping[str, int]
    currencies: Mapping[str, str]
    tenant: str
    parties: Mapping[str, str]
    accounts: Mapping[str, str]
    owners: Mapping[str, str]
    told: tuple[Planned, ...] = ()
    past: Past | None = None

    def journals(self) -> Iterator[str]:
        """The ids under which the ledger here records what moved."""
        for wave in self.waves:
            for each in wave:
                if isinstance(each.event, ledger.PostJournal):
                    yield each.event.journal_id


def plan(folder: Path, tenant: str, *, taken_at: datetime, now: datetime) -> Plan:
    """Work out the commands; raises `ArchiveFault` where the export cannot become what it was.

    They say `taken_at` as their time, so that an import begun again asks for the same; `now` tells
    what is in force and what is to come.
    """
    units = _units(folder)
    held = accounts(folder, units)
    owners = _owners(folder)
    for account in held.values():
        with usable(account.row):
            if account.row["owner"] not in owners:
                raise ValueError("its owner is nobody of the export's")
    refuse_waiting(folder)
    owed = Owed.of(folder, units, tenant=tenant, who=OPERATOR, reason=REASON, at=taken_at)
    past = Past.of(folder, tenant, held) if Past.is_told(folder) else None
    told = () if past is None else tuple(Planned(e, TOPIC, tenant, of) for e, of in past.events())
    prefix = SHOWN_AS_BROUGHT if past is None else TOLD_APART
    ledgers = sorted({account.row["shard"] for account in held.values()})
    waves = [
        tuple(_assets(folder, ledgers, taken_at)),
        *_parties(folder, tenant, taken_at),
        tuple(_bonds(folder, tenant, taken_at)),
        (*_wallets(folder, tenant, taken_at), *_programs(folder, tenant, taken_at)),
        (*_documents(folder, tenant, taken_at, now), *_rules(folder, tenant, now)),
        *_history(History(folder, tenant, held, taken_at, prefix)),
        *(tuple(_in_programs(*each, tenant) for each in wave) for wave in owed.budgets()),
        tuple(_in_programs(*each, tenant) for each in owed.payables()),
    ]
    return Plan(
        tuple(wave for wave in waves if wave),
        {account.id: account.balance for account in held.values()},
        {account.id: account.row["asset"] for account in held.values()},
        tenant,
        {
            row["party_id"]: row.place
            for row in read_rows(folder, "directory.party.jsonl")
            if row["state"] != "merged"
        },
        {account.id: account.row.place for account in held.values()},
        owners,
        told,
        past,
    )


def _owners(folder: Path) -> Mapping[str, str]:
    """Who may own what is the tenant's: its parties, merged ones too, and what else names them."""
    return {
        str(row.get(name)): row.place
        for file, name in (
            ("directory.party.jsonl", "party_id"),
            ("directory.owner_reference.jsonl", "reference"),
        )
        for row in read_rows(folder, file)
    }


def _history(history: History) -> Iterator[tuple[Planned, ...]]:
    """In waves of so many: each ledger takes its journals in the order it once recorded them."""
    wave: list[Planned] = []
    for journal in history.journals():
        planned = Planned(journal, "ledger.commands.v1", journal.ledger, journal.journal_id)
        wave.append(planned)
        if len(wave) == _WAVE_MAX:
            yield tuple(wave)
            wave.clear()
    yield tuple(wave)


def _units(folder: Path) -> Mapping[str, Currency]:
    registered = {
        row["code"]: Currency(row["code"], int(row["scale"]), AssetKind(row["kind"]))
        for row in read_rows(folder, "ledger.asset.jsonl")
    }
    return {**iso_currencies(), **registered}


def _command_id(*of: str) -> str:
    return derived_id("cmd", "import", *of)


def _asked(tenant: str, at: datetime, *of: str) -> dict[str, Any]:
    return {
        "command_id": _command_id(*of),
        "tenant": tenant,
        "who": OPERATOR,
        "reason": REASON,
        "occurred_at": at,
    }


def _in_directory(event: directory.DirectoryCommand, of: str) -> Planned:
    return Planned(event, "directory.commands.v1", event.tenant, of)


def _assets(folder: Path, ledgers: Sequence[str], at: datetime) -> Iterator[Planned]:
    for row in read_rows(folder, "ledger.asset.jsonl"):
        with usable(row):
            event = ledger.RegisterAsset(
                registration_id=derived_id("reg", "import", row["code"]),
                ledger=ledgers[0],
                asset=row["code"],
                scale=int(row["scale"]),
                kind=row["kind"],
                who=OPERATOR,
                why=Why(program="import", event="asset", reason=REASON),
                occurred_at=at,
            )
            yield Planned(event, "ledger.commands.v1", event.ledger, row["code"])


def _parties(folder: Path, tenant: str, at: datetime) -> list[tuple[Planned, ...]]:
    """Parents first: a wave for each generation."""
    rows = {
        row["party_id"]: row
        for row in read_rows(folder, "directory.party.jsonl")
        if row["state"] != "merged"
    }
    waves: dict[int, list[Planned]] = {}
    for party_id, row in sorted(rows.items()):
        with usable(row):
            depth, above = 0, row["parent"]
            while above is not None:
                depth, above = depth + 1, rows[above]["parent"]
                if depth > len(rows):
                    raise ValueError("it is above itself")
            event = directory.RegisterParty(
                **_asked(tenant, at, party_id),
                party_id=party_id,
                kind=row["kind"],
                parent=row["parent"],
                external_id=row["external_id"],
                country=row["country"],
            )
            waves.setdefault(depth, []).append(_in_directory(event, party_id))
    return [tuple(waves[depth]) for depth in sorted(waves)]


def _bonds(folder: Path, tenant: str, at: datetime) -> Iterator[Planned]:
    for row in read_rows(folder, "directory.relation_type.jsonl"):
        with usable(row):
            defined = directory.DefineRelationType(
                **_asked(tenant, at, "relation_type", row["relation"]),
                relation=row["relation"],
                label=row["label"],
            )
            yield _in_directory(defined, row["relation"])
    for row in read_rows(folder, "directory.relation.jsonl"):
        with usable(row):
            if not row["ended"]:
                of = (row["party"], row["other"], row["relation"])
                related = directory.SetRelation(
                    **_asked(tenant, at, *of),
                    party=row["party"],
                    other=row["other"],
                    relation=row["relation"],
                    company=row["company"],
                )
                yield _in_directory(related, " ".join(of))
    for row in read_rows(folder, "directory.membership.jsonl"):
        with usable(row):
            if row["member"]:
                pair = (row["group_id"], row["party"])
                joined = directory.SetGroupMember(
                    **_asked(tenant, at, *pair),
                    group=row["group_id"],
                    party=row["party"],
                    member=True,
                )
                yield _in_directory(joined, " ".join(pair))


def _wallets(folder: Path, tenant: str, at: datetime) -> Iterator[Planned]:
    for row in read_rows(folder, "directory.wallet.jsonl"):
        with usable(row):
            event = directory.OpenWallet(
                **_asked(tenant, at, row["wallet_id"]),
                wallet_id=row["wallet_id"],
                owner=row["owner"],
                currency=row["currency"],
                purpose=row["purpose"],
                reference=row["reference"],
                company=row["company"],
                value_kind=row["value_kind"],
            )
            yield _in_directory(event, row["wallet_id"])


def _in_programs(event: Event, of: str, tenant: str) -> Planned:
    return Planned(event, "programs.commands.v1", tenant, of)


def _programs(folder: Path, tenant: str, at: datetime) -> Iterator[Planned]:
    for row in read_rows(folder, "programs.program.jsonl"):
        with usable(row):
            event = programs.CreateProgram(
                tenant=tenant,
                program_id=row["id"],
                program=row["name"],
                company=row["company"],
                title=row["title"],
                who=OPERATOR,
                occurred_at=at,
            )
            yield _in_programs(event, row["id"], tenant)


def _documents(folder: Path, tenant: str, at: datetime, now: datetime) -> Iterator[Planned]:
    """What is in force or will be, numbered anew from 1: earlier versions stay in the export."""
    numbers: dict[tuple[str, str], int] = {}
    for row in read_rows(folder, "programs.document.jsonl"):
        with usable(row):
            begins = datetime.fromisoformat(row["effective_from"])
            ends = row["effective_until"] and datetime.fromisoformat(row["effective_until"])
            if (ends is not None and ends <= now) or _replaced(folder, row, now):
                continue
            place = (row["program_id"], row["kind"])
            numbers[place] = number = numbers.get(place, 0) + 1
            common = {
                "tenant": tenant,
                "program_id": row["program_id"],
                "version": number,
                "who": OPERATOR,
                "occurred_at": at,
            }
            later = begins if begins > now else None
            match row["kind"]:
                case "policy":
                    event: Event = programs.PublishPolicy(
                        **common,
                        effective_from=later,
                        effective_until=ends,
                        policy=row["body"]["policy"],
                    )
                case "fees":
                    event = programs.SetFees(
                        **common, effective_from=later, lines=row["body"]["lines"]
                    )
                case _:
                    event = programs.SetFundingOrder(**common, wallets=row["body"]["wallets"])
            of = f"{row['program_id']} {row['kind']} {row['version']}"
            yield _in_programs(event, of, tenant)


def _replaced(folder: Path, row: Mapping[str, Any], now: datetime) -> bool:
    """Whether a later version of the same document is in force already."""
    return any(
        other["program_id"] == row["program_id"]
        and other["kind"] == row["kind"]
        and other["version"] > row["version"]
        and datetime.fromisoformat(other["effective_from"]) <= now
        for other in read_rows(folder, "programs.document.jsonl")
    )


def _rules(folder: Path, tenant: str, now: datetime) -> Iterator[Planned]:
    """Versions in force or to come; one that has begun begins anew with its publication."""
    for row in read_rows(folder, "funding.allocation_rule_version.jsonl"):
        with usable(row):
            ends = row["effective_until"] and datetime.fromisoformat(row["effective_until"])
            if ends is not None and ends <= now:
                continue
            document = json.loads(row["document"])
            if datetime.fromisoformat(row["effective_from"]) <= now:
                document.pop("effective_from", None)
            event = funding_rules.PublishRule(
                rule_id=row["rule_id"],
                tenant=tenant,
                document=json.dumps(document, sort_keys=True),
                company=row.get("company"),
                who=OPERATOR,
            )
            of = f"{row['rule_id']} {row['version']}"
            yield Planned(event, "funding.rules.commands.v1", row["rule_id"], of)
