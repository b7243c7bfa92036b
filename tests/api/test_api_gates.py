"""Gates and limits at the exit, by the public API on every service (F27, F30, X4, X7).

Each test has parties and countries of its own: tables are the installation's.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tally_postgres import create_pool
from tally_reconciliation import Sources, Verdict, verify
from tally_runtime import SystemClock

from .conftest import SERVICES, Whole
from .stage import Cast, eventually, money

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]
PAYOUT = "payouts.payout.changed.v1"
EVIDENCE = {"evidence": [{"reference": "vault:data-1", "digest": "5b" * 32}]}


@dataclass(frozen=True)
class Payee:
    """A payee of a country, who has a method and money."""

    cast: Cast
    name: str

    @classmethod
    async def paid_in(cls, cast: Cast, name: str, country: str, amount: str) -> "Payee":
        """Register one, and have money come in for it: at level `none`, and credited all the same."""
        await cast.party(name, "payee", "company", country=country)
        await cast.pay_in(money(amount), {"party": cast.ids[name]})
        await cast.holds(name, amount)
        return cls(cast, name)

    async def chooses_a_wallet(self) -> None:
        """Open another wallet, and have payouts go there."""
        opened = await self.cast.wallet(self.name, purpose="spending")
        path = f"/v1/parties/{self.cast.ids[self.name]}"
        made = await self.cast[self.name].do(
            f"{path}/instruments",
            {"rail": "wallet", "currency": "EUR", "details": {"account": opened["account"]}},
        )
        choice = {"currency": "EUR", "rail": "wallet", "instrument": made["subject"]}
        await self.cast[self.name].do(f"{path}/methods", choice)

    async def withdraws(self, amount: str) -> str:
        """Ask for a payout out of the wallet that was paid into; its id."""
        (wallet,) = [
            each for each in await self.cast.own_wallets(self.name) if each["purpose"] == "default"
        ]
        made = await self.cast[self.name].do(
            "/v1/payouts",
            {
                "wallet": wallet["wallet_id"],
                "amount": money(amount),
                "why": self.cast.why("withdrawal"),
            },
        )
        return str(made["subject"])

    async def stands(self, payout: str, state: str, reason: str | None = None) -> None:
        """Wait until the payee sees a payout in a state, for a reason."""

        async def look() -> bool:
            found = await self.cast[self.name].get(f"/v1/payouts/{payout}")
            if found.status_code != httpx.codes.OK:
                return False
            shown = found.json()
            return shown["state"] == state and (reason is None or shown["reason_code"] == reason)

        await eventually(look)

    async def reaches_basic(self) -> None:
        """Do what is asked for first, and have the tenant pass it."""
        path = f"/v1/parties/{self.cast.ids[self.name]}/identity"

        async def look() -> str | None:
            tasks = (await self.cast[self.name].get(path)).json().get("tasks", [])
            waiting = [task["task_id"] for task in tasks if task["who_must_act"]]
            return waiting[0] if waiting else None

        task = await eventually(look)
        await self.cast[self.name].do(f"/v1/tasks/{task}/submit", EVIDENCE)
        until = (SystemClock().now() + timedelta(days=365)).isoformat().replace("+00:00", "Z")
        await self.cast["aggregator"].do(
            f"/v1/tasks/{task}/decide", {"outcome": "passed", "expires_at": until}
        )


async def publish(whole: Whole, path: str, country: str, rows: list[dict[str, Any]]) -> None:
    """Put the first version of a table of a country in force now, as the operator."""
    operator = await whole.platform.operator()
    body = {"version": 1, "jurisdictions": [country], "source": "Handbook", "rows": rows}
    answered = await operator.put(path, body)
    assert answered.status_code == httpx.codes.OK, answered.text


def exit_row(level: str, answer: str) -> dict[str, Any]:
    row = {
        "party_kind": "person",
        "level": level,
        "act": "exit",
        "endpoint_class": "any",
        "answer": answer,
    }
    closed = {
        "code": "identity_too_low",
        "remedy": "do the tasks of level basic",
        "who_must_act": "payee",
    }
    return row if answer == "open" else row | closed


async def test_f27_x4_one_country_closes_the_exit_until_tasks_are_passed_and_another_does_not(
    whole: Whole, cast: Cast
) -> None:
    await publish(
        whole, "/v1/gates/x4-fr", "FR", [exit_row("none", "closed"), exit_row("basic", "open")]
    )
    await publish(whole, "/v1/gates/x4-nz", "NZ", [exit_row("none", "open")])
    kiwi = await Payee.paid_in(cast, "kiwi", "NZ", "20.00")
    french = await Payee.paid_in(cast, "french", "FR", "30.00")
    for payee in (kiwi, french):
        await payee.chooses_a_wallet()
    free = await kiwi.withdraws("20.00")
    await kiwi.stands(free, "paid")

    payout = await french.withdraws("30.00")
    await french.stands(payout, "held", "identity_too_low")
    told = await cast.told("french", PAYOUT, payout_id=payout, state="held")
    assert told["must_act"] == "payee"
    assert told["holds"] == [
        {
            "source": "kyc",
            "code": "identity_too_low",
            "remedy": "do the tasks of level basic",
            "must_act": "payee",
            "table": "x4-fr",
            "version": 1,
        }
    ]
    await french.reaches_basic()
    await french.stands(payout, "paid")


async def test_f30_what_is_above_a_limit_waits_and_what_is_called_off_leaves_room(
    whole: Whole, cast: Cast
) -> None:
    limit = {
        "level": "none",
        "act": "exit",
        "endpoint_class": "any",
        "window": "lifetime",
        "limit": money("25.00"),
    }
    await publish(whole, "/v1/limits/f30-chile", "CL", [limit])
    payee = await Payee.paid_in(cast, "chilean", "CL", "60.00")
    await payee.chooses_a_wallet()
    first = await payee.withdraws("20.00")
    await payee.stands(first, "paid")
    second = await payee.withdraws("10.00")
    await payee.stands(second, "held", "limit_lifetime_exceeded")
    told = await cast.told("chilean", PAYOUT, payout_id=second, state="held")
    assert [hold["source"] for hold in told["holds"]] == ["limit"]
    await cast["chilean"].do(f"/v1/payouts/{second}/cancel", {"reason": "Asked for less"})
    await payee.stands(second, "cancelled")
    third = await payee.withdraws("5.00")
    await payee.stands(third, "paid")


async def test_f39_x7_the_options_say_which_way_is_closed_by_which_version_and_what_to_do(
    whole: Whole, cast: Cast
) -> None:
    capped = exit_row("none", "open_to") | {"limit": money("50.00"), "code": "small_amounts_alone"}
    closed = exit_row("none", "closed") | {"endpoint_class": "cash"}
    await publish(whole, "/v1/gates/x7-peru", "PE", [capped, closed])
    payee = await Payee.paid_in(cast, "peruvian", "PE", "40.00")
    payout = await payee.withdraws("40.00")
    told = await cast.told("peruvian", PAYOUT, payout_id=payout, state="claimable")
    by_rail = {option["rail"]: option for option in told["options"]}
    ach, wallet = by_rail["ach"], by_rail["wallet"]
    assert (ach["answer"], ach["source"], ach["code"]) == ("closed", "kyc", "identity_too_low")
    assert (ach["table"], ach["version"], ach["must_act"]) == ("x7-peru", 1, "payee")
    assert ach["remedy"] == "do the tasks of level basic"
    assert (wallet["answer"], wallet["limit"]) == ("open_to", money("50.00"))
    # What is open is chosen, and goes.
    await payee.chooses_a_wallet()
    await payee.stands(payout, "paid")


async def test_f30_a_level_takes_away_what_identity_holds_and_nothing_else_and_the_books_are_in_order(
    whole: Whole, cast: Cast
) -> None:
    await publish(
        whole, "/v1/gates/f30-norway", "NO", [exit_row("none", "closed"), exit_row("basic", "open")]
    )
    limit = {
        "level": "none",
        "act": "exit",
        "endpoint_class": "any",
        "window": "item",
        "limit": money("20.00"),
    }
    await publish(whole, "/v1/limits/f30-norway", "NO", [limit])
    payee = await Payee.paid_in(cast, "norwegian", "NO", "30.00")
    await payee.chooses_a_wallet()
    payout = await payee.withdraws("30.00")
    told = await cast.told("norwegian", PAYOUT, payout_id=payout, state="held")
    assert [hold["source"] for hold in told["holds"]] == ["kyc", "limit"]
    await payee.reaches_basic()
    changed = await cast.told("norwegian", "payouts.payout.holds_changed.v1", payout_id=payout)
    assert [hold["code"] for hold in changed["holds"]] == ["limit_item_exceeded"]
    sources = Sources(whole.database.admin_dsn, whole.kafka, schemas=SERVICES)
    report = await verify(sources, wait_s=60)
    faults = [(check.id, one.what, one.row) for check in report.checks for one in check.faults]
    assert faults == []
    assert report.verdict is Verdict.GREEN


async def is_told_to_funding(whole: Whole, party: str, table: str) -> None:
    """Wait until money is asked by this table and this party's level: topics have no order among them."""
    pool = await create_pool(whole.database.dsn("funding"), schema="funding", application_name="t")
    query = """SELECT EXISTS (SELECT FROM party_level WHERE party_id = $1)
           AND EXISTS (SELECT FROM gate_table WHERE name = $2)"""

    async def look() -> bool:
        return bool(await pool.fetchval(query, party, table))

    await eventually(look)
    await pool.close()


async def test_f27_x4_money_for_who_may_not_receive_yet_stands_apart_and_is_released_and_paid_out(
    whole: Whole, cast: Cast
) -> None:
    rows = [exit_row("none", "closed"), exit_row("basic", "open")]
    rows += [one | {"act": "receive"} for one in rows]
    await publish(whole, "/v1/gates/f27-lithuania", "LT", rows)
    await cast.party("lithuanian", "payee", "company", country="LT")
    payee = Payee(cast, "lithuanian")
    await is_told_to_funding(whole, cast.ids["lithuanian"], "f27-lithuania")
    await cast.pay_in(money("40.00"), {"party": cast.ids["lithuanian"]})
    told = await cast.told("lithuanian", "funding.receipt.restricted.v1")
    assert told["amount"] == money("40.00")
    assert (told["code"], told["table"], told["version"]) == (
        "identity_too_low",
        "f27-lithuania",
        1,
    )
    assert (told["must_act"], told["remedy"]) == ("payee", "do the tasks of level basic")
    await cast.holds("lithuanian", "0.00")

    await payee.reaches_basic()
    await cast.holds("lithuanian", "40.00")
    moved = await cast.told("lithuanian", "funding.claim.designation_moved.v1")
    assert (moved["to_owner"], moved["reason_code"]) == (cast.ids["lithuanian"], "released")
    await payee.chooses_a_wallet()
    payout = await payee.withdraws("40.00")
    await payee.stands(payout, "paid")
    sources = Sources(whole.database.admin_dsn, whole.kafka, schemas=SERVICES)
    report = await verify(sources, wait_s=60)
    assert [(c.id, f.what, f.row) for c in report.checks for f in c.faults] == []
    assert report.verdict is Verdict.GREEN
