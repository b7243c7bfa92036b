"""Migration 0007 on a database with money in it: what came before gets the tenant of its company."""

import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg

from tally_funding.app import SCHEMA
from tally_messaging.service import MESSAGING_MIGRATIONS
from tally_postgres import MigrationSource, Schema, migrate, provision
from tally_testkit import ServiceDatabase

MONEY = """
SET search_path TO funding;
INSERT INTO party_place VALUES ('party_c', 'party_root', '{party_root}', 'DE', true, now());
INSERT INTO pay_in (
    pay_in_id, source, external_id, content_digest, by_statement, state, currency, amount, actor,
    principal, channel, program, event, reason, occurred_at, originator, company, kind, value_date,
    source_references, rule, journal_id, correlation_id, received_at, changed_at)
SELECT 'pin_' || company, 'cards', company, '', false, 'allocated', 'USD', 100, 'a', 'p', 'api', 'x',
       'e', 'r', now(), 'o', company, 'payables', now(), '{}', 'standard:1', 'j', 'c', now(), now()
FROM unnest(ARRAY['party_c', 'party_later']) AS c (company);
INSERT INTO allocation
SELECT pay_in_id, 0, 'acc', 'owner', 'role', 100, false FROM pay_in;
INSERT INTO webhook_event VALUES ('cards', 'evt', '', 'x', 'applied', 'pin_party_c', now());
INSERT INTO card_payment (
    pay_in_id, source, external_id, company, standing, failed_charges, refunded, first_seen_at,
    changed_at)
VALUES ('pin_party_c', 'cards', 'pi', 'party_c', 'unknown', '{}', 0, now(), now());
"""


def test_x8_money_that_came_before_has_the_tenant_of_its_company_afterwards(
    fresh_database: Callable[..., ServiceDatabase], tmp_path: Path
) -> None:
    own = next(source for source in SCHEMA.migrations if source.name == "funding")
    for number in range(1, 7):
        (file,) = own.directory.glob(f"{number:04}_*.sql")
        shutil.copy(file, tmp_path)
    before = Schema("funding", (MESSAGING_MIGRATIONS, MigrationSource("funding", tmp_path)))
    dsn = fresh_database(Schema("beside", (MESSAGING_MIGRATIONS,))).admin_dsn
    provision(dsn, [before], {"funding": "for-tests-only"})
    migrate(dsn, before)
    with psycopg.connect(dsn) as session:
        session.execute(MONEY.encode())
    migrate(dsn, SCHEMA)
    with psycopg.connect(dsn) as session:
        session.execute("SET search_path TO funding")
        found: dict[str, dict[str, str]] = {
            table: dict(
                session.execute(f"SELECT pay_in_id, tenant FROM {table}".encode()).fetchall()
            )
            for table in ("pay_in", "allocation", "webhook_event", "card_payment")
        }
        awaited = session.execute("SELECT party_id FROM party_place WHERE awaited").fetchall()
    both = {"pin_party_c": "party_root", "pin_party_later": "*"}
    assert found["pay_in"] == found["allocation"] == both
    assert found["webhook_event"] == found["card_payment"] == {"pin_party_c": "party_root"}
    assert awaited == [("party_later",)], "the directory's word will reach its money"
