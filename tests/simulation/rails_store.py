"""Attempts, instruments, jobs and cases over rows in memory: the functions of `tally_rails.store`."""

from dataclasses import replace
from types import SimpleNamespace

from tally_rails.domain.instrument import InstrumentState
from tally_rails.errors import StaleVersion


async def lock_attempts(conn, ids):
    if not ids:
        return []
    await conn.statement("attempts.lock")
    known = [i for i in sorted(ids) if conn.get("attempt", i) is not None]
    await conn.lock("attempt", known)
    return [conn.get("attempt", i) for i in known]


async def save_attempts(conn, stored, now):
    if not stored:
        return
    await conn.statement("attempts.save")
    saved = 0
    for item in sorted(stored, key=lambda row: row.attempt.id):
        await conn.lock("attempt", [item.attempt.id])
        known = conn.get("attempt", item.attempt.id)
        if known is None or known.version == item.version:
            conn.put("attempt", item.attempt.id, replace(item, version=item.version + 1))
            saved += 1
    if saved != len(stored):
        raise StaleVersion(len(stored), f"INSERT 0 {saved}")


async def save_history(conn, steps):
    if not steps:
        return
    await conn.statement("attempt_history.save")
    for step, _ in steps:
        key = (step.attempt.id, step.attempt.sequence)
        await conn.insert_new("attempt_history", key, (step.previous, step.attempt.state))


async def load_instruments(conn, ids):
    if not ids:
        return {}
    await conn.statement("instruments.load")
    found = {i: conn.get("instrument", i) for i in sorted(ids)}
    return {i: row for i, row in found.items() if row is not None}


async def add_instruments(conn, instruments, now):
    if not instruments:
        return
    await conn.statement("instruments.add")
    for instrument in instruments:
        await conn.insert_new("instrument", instrument.id, instrument)


async def refuse_instruments(conn, ids, now):
    if not ids:
        return []
    await conn.statement("instruments.refuse")
    refused = []
    for instrument_id in sorted(ids):
        await conn.lock("instrument", [instrument_id])
        row = conn.get("instrument", instrument_id)
        if row is not None and row.state is InstrumentState.REGISTERED:
            row = replace(row, state=InstrumentState.REFUSED)
            conn.put("instrument", instrument_id, row)
            refused.append(row)
    return refused


async def add_jobs(conn, jobs):
    if not jobs:
        return
    await conn.statement("jobs.add")
    for job in jobs:
        await conn.insert("job", (job.rail, job.kind, job.subject), (job.next_at, 0))


async def take_jobs(conn, rail, kind, *, now, lease, limit):
    await conn.statement("jobs.take")
    due = sorted(
        (row[0], key[2], key)
        for key, row in conn.table("job").items()
        if key[:2] == (rail, kind) and row[0] <= now
    )
    taken = []
    for _, subject, key in due:
        if ("job", key) in conn.database.locks or len(taken) == limit:
            continue  # SKIP LOCKED
        await conn.lock("job", [key])
        tries = conn.get("job", key)[1] + 1
        conn.put("job", key, (now + lease, tries))
        taken.append((subject, tries))
    return sorted(taken)


async def put_off(conn, rail, kind, subjects, until):
    if not subjects:
        return
    await conn.statement("jobs.put_off")
    for subject in sorted(subjects):
        key = (rail, kind, subject)
        await conn.lock("job", [key])
        row = conn.get("job", key)
        if row is not None:
            conn.put("job", key, (until, row[1]))


async def end_jobs(conn, jobs):
    if not jobs:
        return
    await conn.statement("jobs.end")
    for job in sorted(jobs):
        await conn.lock("job", [job])
        conn.delete("job", job)


async def open_cases(conn, cases, now):
    if not cases:
        return []
    await conn.statement("cases.open")
    distinct = {case.id: case for case in cases}.values()
    return [case for case in distinct if await conn.insert("rail_case", case.id, case)]


attempts = SimpleNamespace(
    lock_attempts=lock_attempts, save_attempts=save_attempts, save_history=save_history
)
instruments = SimpleNamespace(
    load_instruments=load_instruments,
    add_instruments=add_instruments,
    refuse_instruments=refuse_instruments,
)
work = SimpleNamespace(
    add_jobs=add_jobs,
    take_jobs=take_jobs,
    put_off=put_off,
    end_jobs=end_jobs,
    open_cases=open_cases,
)
