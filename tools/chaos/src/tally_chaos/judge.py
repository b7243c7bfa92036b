"""The end of a run: does it come to rest by itself, is what was injected what was found, is it all there."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field

from aiokafka.errors import KafkaError

from tally_chaos.load import Load
from tally_chaos.platform import Platform
from tally_chaos.topics import read_topic
from tally_cli import lag
from tally_cli.demo.dataset import SOURCES
from tally_cli.demo.watch import STANDING
from tally_messaging import MessagingError
from tally_messaging.envelope import CE_ID, CORRELATION_ID
from tally_postgres import is_transient
from tally_reconciliation import Report, Sources, Verdict, verify

LIVENESS_S = 60.0
_POLL_S = 0.4
_ORACLE_WAIT_S = 20
_CONFLICT = "id_conflict"


class NotLive(RuntimeError):  # noqa: N818 - named for what it says
    """The platform did not come to rest by itself within the bound."""

    code = "not_live"


@dataclass(slots=True)
class Findings:
    """What was put onto the topics against what became of it, and all that does not agree."""

    records: int = 0
    repeats: int = 0
    poison: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    pay_ins: dict[str, int] = field(default_factory=dict)
    payouts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


async def until_quiet(platform: Platform, *, within_s: float = LIVENESS_S) -> float:
    """Wait until nothing waits anywhere, seen twice; the seconds it took. Raises `NotLive`."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    quiet = 0
    quiet_at = began
    told: list[str] = []
    while quiet < 2:  # noqa: PLR2004 - twice: a fact may be on its way between two looks
        waiting = await _waiting(platform)
        if waiting != told:
            platform.history.add("judge", "info", "waiting", for_=waiting)
            told = waiting
        if not waiting and not quiet:
            quiet_at = loop.time()
        quiet = 0 if waiting else quiet + 1
        if waiting and loop.time() - began > within_s:
            raise NotLive(f"not at rest within {within_s:.0f} s: {'; '.join(waiting)}")
        await asyncio.sleep(_POLL_S)
    return quiet_at - began


async def _waiting(platform: Platform) -> list[str]:
    try:
        lags = await lag.measure(platform.installation)
        moving = await platform.query(
            "SELECT state, count(*) FROM payouts.payout WHERE state <> ALL($1::text[]) GROUP BY 1",
            sorted(STANDING),
        )
        due = await platform.query("SELECT count(*) FROM rails.job WHERE next_at <= now()")
    except (KafkaError, MessagingError, OSError) as error:
        return [f"cannot look: {error!r}"[:200]]
    except Exception as error:
        if not is_transient(error):
            raise
        return [f"cannot look: {error!r}"[:200]]
    told = [f"{one.service} has {one.total} to do" for one in lags if one.total]
    told += [f"{count} payouts {state}" for state, count in moving]
    told += [f"rails has {row[0]} jobs due" for row in due if row[0]]
    return told


async def examine(platform: Platform, load: Load) -> Findings:
    """Compare the inbound topics, read anew, with quarantine and pay-ins."""
    found = Findings()
    expected = load.dataset.expected
    kinds = list(expected.poison)
    wanted: Counter[str] = Counter()
    seen: dict[bytes | None, bytes | None] = {}
    for source in SOURCES:
        for record in await read_topic(platform.installation.kafka, f"funding.inbound.{source}.v1"):
            found.records += 1
            headers = dict(record.headers)
            correlation = headers[CORRELATION_ID].decode()
            event_id = headers[CE_ID]
            head, _, number = correlation.rpartition("-poison-")
            if head:
                wanted[kinds[int(number) % len(kinds)]] += 1
            elif seen.setdefault(event_id, record.value) == record.value:
                found.repeats += 1
            else:
                wanted[_CONFLICT] += 1
    found.repeats -= len(seen)
    found.poison = dict(sorted(wanted.items()))
    rows = await platform.query(_QUARANTINED)
    found.found = dict(rows)
    if found.found != found.poison:
        found.problems.append(f"poison injected {found.poison}, set aside {found.found}")
    if len(seen) != expected.unique_events:
        found.problems.append(f"{len(seen)} events on the topics of {expected.unique_events}")
    await _compare_pay_ins(platform, load, found)
    return found


_QUARANTINED = (
    "\nUNION ALL ".join(
        [
            "SELECT code, count(*) FROM funding.quarantine GROUP BY 1",
            # Nothing but the poison is set aside, and only where it arrives.
            *(
                f"SELECT '{name}: ' || code, count(*) FROM {name}.quarantine GROUP BY 1"
                for name in ("ledger", "payouts", "rails", "portfolio")
            ),
        ]
    )
    + "\nORDER BY 1"
)


async def _compare_pay_ins(platform: Platform, load: Load, found: Findings) -> None:
    expected = load.dataset.expected
    found.pay_ins = dict(
        await platform.query("SELECT state, count(*) FROM funding.pay_in GROUP BY 1 ORDER BY 1")
    )
    found.payouts = dict(
        await platform.query("SELECT state, count(*) FROM payouts.payout GROUP BY 1 ORDER BY 1")
    )
    wanted = {
        "allocated": expected.unique_events - expected.unmatched,
        "suspense": expected.unmatched,
    }
    if found.pay_ins != wanted:
        found.problems.append(f"pay-ins {found.pay_ins}, expected {wanted}")
    restless = set(found.payouts) - (STANDING - {"in_transit"})
    if restless:
        found.problems.append(f"payouts not at rest: {found.payouts}")


async def ask_oracle(platform: Platform) -> tuple[Report, list[str]]:
    """The oracle's report, written to oracle.json, and each check that is not green in a line."""
    installation = platform.installation
    report = await verify(
        Sources(installation.postgres_dsn, installation.kafka, platform.bank.address.admin_url),
        wait_s=_ORACLE_WAIT_S,
    )
    document = json.dumps(report.to_json(), indent=2, default=str)
    (platform.folder / "oracle.json").write_text(document + "\n")
    problems = [
        f"oracle: {check.line()}" for check in report.checks if check.verdict is Verdict.RED
    ]
    if report.verdict is not Verdict.GREEN and not problems:
        problems.append(f"oracle: {report.verdict}: {'; '.join(report.quiet.moving)}")
    return report, problems
