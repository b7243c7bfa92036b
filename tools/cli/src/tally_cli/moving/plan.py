"""What an export becomes in another installation: commands, in waves that each need the one before."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tally_cli.moving.archive import ArchiveFault, read_rows
from tally_contracts import directory, funding_rules, ledger, programs
from tally_contracts.base import AskedAmount, Event, Where, Who, Why
from tally_money import AssetKind, Currency, Money, iso_currencies
from tally_runtime import derived_id

OPERATOR = Who(actor="cli", principal=directory.OPERATOR)
REASON = "Brought from another installation"
_LEGS_MAX = 100
BROUGHT = frozenset(
    {
        "directory.party.jsonl",
        "directory.relation_type.jsonl",
        "directory.relation.jsonl",
        "directory.membership.jsonl",
        "directory.wallet.jsonl",
        "programs.program.jsonl",
        "programs.document.jsonl",
        "funding.allocation_rule.jsonl",
        "funding.allocation_rule_version.jsonl",
        "ledger.asset.jsonl",
        "ledger.account.jsonl",
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
    """Waves of commands, and the balance each account must have after them, in minor units."""

    waves: tuple[tuple[Planned, ...], ...]
    balances: Mapping[str, int]
    currencies: Mapping[str, str]


def plan(folder: Path, tenant: str, *, taken_at: datetime, now: datetime) -> Plan:
    """Work out the commands; raises `ArchiveFault` where money of the export is still reserved.

    They say `taken_at` as their time, so that an import begun again asks for the same; `now` tells
    what is in force and what is to come.
    """
    accounts = [_account(row) for row in read_rows(folder, "ledger.account.jsonl")]
    reserved = [a["id"] for a in accounts if a["debits_pending"] or a["credits_pending"]]
    if reserved:
        raise ArchiveFault(
            "money_reserved",
            f"{len(reserved)} accounts, such as {reserved[0]}, have money reserved for what was under "
            "way: let payouts end or cancel them, then export again",
        )
    units = _units(folder)
    parties = _parties(folder, tenant, taken_at)
    waves = [
        tuple(_assets(folder, accounts, taken_at)),
        *parties,
        tuple(_bonds(folder, tenant, taken_at)),
        (*_wallets(folder, tenant, taken_at), *_programs(folder, tenant, taken_at)),
        (*_documents(folder, tenant, taken_at, now), *_rules(folder, tenant, now)),
        tuple(_balances(accounts, tenant, units, taken_at)),
    ]
    return Plan(
        tuple(wave for wave in waves if wave),
        {a["id"]: a["balance"] for a in accounts},
        {a["id"]: a["asset"] for a in accounts},
    )


def _account(row: dict[str, Any]) -> dict[str, Any]:
    counters = {
        name: int(row[name])
        for name in ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
    }
    return {
        **row,
        **counters,
        "balance": counters["credits_posted"] - counters["debits_posted"],
    }


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


def _assets(folder: Path, accounts: Sequence[Mapping[str, Any]], at: datetime) -> Iterator[Planned]:
    ledgers = sorted({account["shard"] for account in accounts})
    for row in read_rows(folder, "ledger.asset.jsonl"):
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
        depth, above = 0, row["parent"]
        while above is not None:
            depth, above = depth + 1, rows[above]["parent"]
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
        defined = directory.DefineRelationType(
            **_asked(tenant, at, "relation_type", row["relation"]),
            relation=row["relation"],
            label=row["label"],
        )
        yield _in_directory(defined, row["relation"])
    for row in read_rows(folder, "directory.relation.jsonl"):
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
        if row["member"]:
            pair = (row["group_id"], row["party"])
            joined = directory.SetGroupMember(
                **_asked(tenant, at, *pair), group=row["group_id"], party=row["party"], member=True
            )
            yield _in_directory(joined, " ".join(pair))


def _wallets(folder: Path, tenant: str, at: datetime) -> Iterator[Planned]:
    for row in read_rows(folder, "directory.wallet.jsonl"):
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


def _in_programs(event: Event, tenant: str, of: str) -> Planned:
    return Planned(event, "programs.commands.v1", tenant, of)


def _programs(folder: Path, tenant: str, at: datetime) -> Iterator[Planned]:
    for row in read_rows(folder, "programs.program.jsonl"):
        event = programs.CreateProgram(
            tenant=tenant,
            program_id=row["id"],
            program=row["name"],
            company=row["company"],
            title=row["title"],
            who=OPERATOR,
            occurred_at=at,
        )
        yield _in_programs(event, tenant, row["id"])


def _documents(folder: Path, tenant: str, at: datetime, now: datetime) -> Iterator[Planned]:
    """What is in force or will be, numbered anew from 1: earlier versions stay in the export."""
    numbers: dict[tuple[str, str], int] = {}
    for row in read_rows(folder, "programs.document.jsonl"):
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
                event = programs.SetFees(**common, effective_from=later, lines=row["body"]["lines"])
            case _:
                event = programs.SetFundingOrder(**common, wallets=row["body"]["wallets"])
        yield _in_programs(event, tenant, f"{row['program_id']} {row['kind']} {row['version']}")


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
            who=OPERATOR,
        )
        of = f"{row['rule_id']} {row['version']}"
        yield Planned(event, "funding.rules.commands.v1", row["rule_id"], of)


def _balances(
    accounts: Sequence[Mapping[str, Any]],
    tenant: str,
    units: Mapping[str, Currency],
    at: datetime,
) -> Iterator[Planned]:
    """Balances brought forward: a journal for so many accounts of one ledger and currency."""
    places = sorted({(a["shard"], a["asset"]) for a in accounts if a["balance"]})
    for shard, asset in places:
        there = [a for a in accounts if (a["shard"], a["asset"]) == (shard, asset) and a["balance"]]
        path = f"brought_forward/{tenant}/{asset}"
        forward = ledger.AccountSpec(
            id=derived_id("acc", shard, path),
            owner=tenant,
            purpose="brought_forward",
            path=path,
            currency=asset,
            guarded=False,
        )
        for number, first in enumerate(range(0, len(there), _LEGS_MAX)):
            group = there[first : first + _LEGS_MAX]
            journal = derived_id("jrn", "import", shard, asset, tenant, str(number))
            event = ledger.PostJournal(
                journal_id=journal,
                ledger=shard,
                reference=derived_id("imp", tenant, shard, asset, str(number)),
                open_accounts=(forward, *(_spec(a, units[asset]) for a in group)),
                legs=tuple(_leg(a, forward.id, units[asset]) for a in group),
                effective_at=at,
                who=OPERATOR,
                where=Where(channel="cli"),
                why=Why(program="import", event=tenant, reason="Balance brought forward"),
                occurred_at=at,
            )
            yield Planned(event, "ledger.commands.v1", shard, journal)


def _spec(account: Mapping[str, Any], unit: Currency) -> ledger.AccountSpec:
    limit = account["max_balance"]
    return ledger.AccountSpec(
        id=account["id"],
        owner=account["owner"],
        purpose=account["purpose"],
        path=account["path"],
        currency=account["asset"],
        guarded=account["guarded"],
        no_credit_overdraft=account["no_credit_overdraft"],
        aggregated=account["aggregated"],
        balance_limit=None if limit is None else Money(int(limit), unit).wire_amount,
    )


def _leg(account: Mapping[str, Any], forward: str, unit: Currency) -> ledger.Leg:
    balance = account["balance"]
    debit, credit = (forward, account["id"]) if balance > 0 else (account["id"], forward)
    return ledger.Leg(
        id=derived_id("tr", "import", account["id"]),
        debit=debit,
        credit=credit,
        amount=AskedAmount.of(Money(abs(balance), unit)),
        code="brought_forward",
    )
