"""F29, by the public API on every service: what belongs to a payee that became another follows it.

Each test has parties of its own.
"""

from typing import Any

import httpx
import pytest

from tally_reconciliation import Sources, Verdict, verify

from .conftest import SERVICES, Whole
from .stage import Cast, eventually, money

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]
PAYOUT = "payouts.payout.changed.v1"
CONSENT = "directory.consent.given.v1"


async def become_one(cast: Cast, kept: str, merged: str, *, side: str) -> None:
    """The one offers to go on as the other, whose side agrees."""
    offered = await cast[merged].do(
        f"/v1/parties/{cast.ids[kept]}/merge", {"merged": cast.ids[merged], "reason": "Same person"}
    )
    path = f"/v1/approvals/{offered['outcome']['data']['approval_id']}/decide"
    await cast[side].do(path, {"approve": True, "reason": "Same person"})
    await cast.told(side, "directory.party.merged.v1", party_id=cast.ids[kept])


async def shown(cast: Cast, name: str, path: str, **wanted: Any) -> dict[str, Any]:
    """What a party is shown there, once it has these values."""

    async def look() -> dict[str, Any] | None:
        answered = await cast[name].get(path)
        found: dict[str, Any] = answered.json()
        seen = answered.status_code == httpx.codes.OK and wanted.items() <= found.items()
        return found if seen else None

    found: dict[str, Any] = await eventually(look)
    return found


async def chooses_a_wallet(cast: Cast, name: str) -> str:
    """A party opens another wallet, and has what it is paid go there; the wallet's id."""
    opened = await cast.wallet(name, purpose="spending")
    path = f"/v1/parties/{cast.ids[name]}"
    details = {"account": opened["account"]}
    made = await cast[name].do(
        f"{path}/instruments", {"rail": "wallet", "currency": "EUR", "details": details}
    )
    choice = {"currency": "EUR", "rail": "wallet", "instrument": made["subject"]}
    await cast[name].do(f"{path}/methods", choice)
    return str(opened["wallet_id"])


async def withdraws(cast: Cast, by: str, wallet: str, amount: str) -> str:
    """A party asks for a payout out of a wallet; its id."""
    asked = {"wallet": wallet, "amount": money(amount), "why": cast.why("withdrawal")}
    return str((await cast[by].do("/v1/payouts", asked))["subject"])


async def test_f29_consents_grants_and_payouts_of_a_merged_payee_are_the_kept_ones(
    cast: Cast, whole: Whole
) -> None:
    await cast.party("twin", "payee", "rival", country="FR")
    await cast.party("friend", "company", "aggregator")
    await cast.pay_in(money("10.00"), {"party": cast.ids["twin"]}, company="rival")
    await cast.holds("twin", "10.00")
    (wallet,) = await cast.own_wallets("twin")
    consent = {"company": cast.ids["friend"], "reason": "I work for them"}
    await cast["twin"].do(f"/v1/parties/{cast.ids['twin']}/consents", consent)
    grant = {"to_party": cast.ids["partner"], "fields": ["balance"], "reason": "Look"}
    await cast["twin"].do(f"/v1/wallets/{wallet['wallet_id']}/grants", grant)
    early = await withdraws(cast, "twin", wallet["wallet_id"], "2.00")
    purse = await chooses_a_wallet(cast, "payee")
    identity = f"/v1/parties/{cast.ids['payee']}/identity"
    assert (await cast["friend"].get(identity)).status_code == 404

    await become_one(cast, "payee", "twin", side="payee")

    # Who might pay the one may pay the other, and is told so.
    for name in ("friend", "payee"):
        told = await cast.told(name, CONSENT, party_id=cast.ids["payee"])
        assert told["company"] == cast.ids["friend"]
    assert "tasks" not in await shown(cast, "friend", identity, level="none")
    # A grant shows what it named, of that wallet alone.
    granted = await shown(cast, "partner", f"/v1/wallets/{wallet['wallet_id']}")
    assert "posted" in granted
    assert "purpose" not in granted
    answered = await cast["friend"].get(f"/v1/wallets/{wallet['wallet_id']}")
    assert answered.status_code == 404

    # What waited is paid by the kept one's method, and so is what it asks for now.
    late = await withdraws(cast, "payee", wallet["wallet_id"], "3.00")
    for payout in (early, late):
        for name in ("payee", "company", "aggregator"):
            await shown(cast, name, f"/v1/payouts/{payout}", state="paid")
        assert (await cast["friend"].get(f"/v1/payouts/{payout}")).status_code == 404
        await cast.told("payee", PAYOUT, payout_id=payout, state="paid")
    # What was told before is in the log of the one that was merged, for whom that now is.
    for name in ("payee", "company"):
        page = await cast[name].see("/v1/events", party=cast.ids["twin"], types=PAYOUT)
        first = {one["data"]["payout_id"]: one["data"]["state"] for one in page["data"][:1]}
        assert first == {early: "claimable"}
    listed = {one["payout_id"] for one in await cast.items("company", "/v1/payouts")}
    assert listed >= {early, late}

    async def held() -> bool:
        balances = {
            one["wallet_id"]: one["posted"]["amount"]
            for one in await cast.items("payee", "/v1/wallets")
        }
        return (balances.get(wallet["wallet_id"]), balances.get(purse)) == ("5.00", "5.00")

    await eventually(held)
    # The kept one shuts what the other had opened.
    withdrawn = {"company": cast.ids["friend"], "reason": "No more"}
    await cast["payee"].do(f"/v1/parties/{cast.ids['payee']}/consents/withdraw", withdrawn)

    async def shut() -> bool:
        return (await cast["friend"].get(identity)).status_code == 404

    await eventually(shut)
    sources = Sources(whole.database.admin_dsn, whole.kafka, schemas=SERVICES)
    report = await verify(sources, wait_s=60)
    assert [(c.id, f.what, f.row) for c in report.checks for f in c.faults] == []
    assert report.verdict is Verdict.GREEN
