"""Migrations on a database with money in it: rows of before get their tenants, and cases their people."""

import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg

from tally_funding.app import SCHEMA
from tally_messaging.service import MESSAGING_MIGRATIONS
from tally_postgres import MigrationSource, Schema, migrate, provision
from tally_testkit import ServiceDatabase

COMPANIES = "(VALUES ('party_c'), ('party_later')) AS c (company)"
MONEY = f"""
INSERT INTO party_place VALUES ('party_c', 'party_root', '{{party_root}}', 'DE', true, now());
INSERT INTO pay_in (
    pay_in_id, source, external_id, content_digest, by_statement, state, currency, amount, actor,
    principal, channel, program, event, reason, occurred_at, originator, company, kind, value_date,
    source_references, rule, journal_id, correlation_id, received_at, changed_at)
SELECT 'pin_' || company, 'cards', company, '', false, 'allocated', 'USD', 100, 'a', 'p', 'api', 'x',
       'e', 'r', now(), 'o', company, 'payables', now(), '{{}}', 'standard:1', 'j', 'c', now(), now()
FROM {COMPANIES};
"""
# A row of each company in every table that money leaves; each names its company somewhere.
ROWS = {
    "allocation": "'pin_' || company, 0, 'acc', 'owner', 'role', 100, false",
    "suspense_case": "'case_' || company, 'pin_' || company, 'conflict', 'r', 'd', now()",
    "repeated_announcement": "'pin_' || company, 1, 0, now()",
    "statement": "'stm_' || company, company, 'USD', '1', 1, 1, 'a', 'b', now(), 0, 0, '', 'first',"
    " 'imp', 'f', now()",
    "statement_entry": "'stm_' || company, 0, 0, 1, true, false, 'booked', NULL::date, NULL::date,"
    " NULL, NULL, NULL, '', 'pay_in', 'pin_' || company",
    "webhook_event": "'cards', company, '', 'x', 'applied', 'pin_' || company, now()",
    "card_payment": "'pin_' || company, 'cards', company, company, 'unknown', NULL, NULL::numeric,"
    " NULL, '{}'::text[], 0, now(), now()",
    "card_dispute": "'pin_' || company, 'dp', 'USD', 1, true, false",
    "manual_entry": "'ent_' || company, '', 'proposed', company, '{}'::jsonb, 'a', company, NULL,"
    " NULL, NULL, now(), NULL::timestamptz",
    "expectation": "'exp_' || company, '', 'invoice', 'r', 'r', 'USD', 1, 0, company, '{}'::jsonb,"
    " 'p', NULL, now()",
    "pay_in_return": "'ret_' || company, 'pin_' || company, '', 'refund', 'done', false, 'USD', 1,"
    " '{}'::jsonb, 'c', now(), now()",
    "return_leg": "'ret_' || company, 0, 'owner', 'acc', 1, 'owed', 'jrn_' || company, NULL",
    "receivable": "'rcv_' || company, 'ret_' || company, 0, 'owner', company, 'acc', 'USD', 1, 0, 0,"
    " now(), now()",
    "receivable_settlement": "'set_' || company, 'rcv_' || company, '', 1, 'asked', 'owner', 'j',"
    " '{}'::jsonb, now(), now()",
    "pay_in_match": "'match_' || company, 'pin_' || company, 'case', '', NULL, '{}'::jsonb, 'p', 1,"
    " true, 'n', 'a', 'p', 'asked', 'mrn_' || company, 'r', NULL::jsonb, '[]'::jsonb, 'c', now(),"
    " now()",
    "match_look": "'pin_' || company, now()",
}
FAILURES = """
SELECT set_config('tally.tenant', '*', true);
INSERT INTO card_refund_failure (pay_in_id, refund, currency, amount, failed_at)
VALUES ('pin_party_c', 're_case', 'USD', 1, now()), ('pin_party_c', 're_new', 'USD', 1, now());
INSERT INTO suspense_case (case_id, pay_in_id, reason_code, remedy, detail, opened_at)
VALUES ('case_re', 'pin_party_c', 'card_refund_failed', 'r', 'refund re_case', now())
"""


def test_x8_what_came_before_belongs_to_its_companys_tenant_and_its_cases_to_people(
    fresh_database: Callable[..., ServiceDatabase], tmp_path: Path
) -> None:
    dsn = fresh_database(Schema("beside", (MESSAGING_MIGRATIONS,))).admin_dsn
    schema = up_to(6, tmp_path)
    provision(dsn, [schema], {"funding": "for-tests-only"})
    migrate(dsn, schema)
    with session_of(dsn) as session:
        session.execute(MONEY.encode())
        for table, row in ROWS.items():
            session.execute(f"INSERT INTO {table} SELECT {row} FROM {COMPANIES}".encode())
    migrate(dsn, up_to(12, tmp_path))
    with session_of(dsn) as session:
        session.execute(FAILURES.encode())
    migrate(dsn, SCHEMA)
    with session_of(dsn) as session:
        for table in ("pay_in", *ROWS):
            query = f"SELECT DISTINCT x::text LIKE '%party_c%', tenant FROM {table} x ORDER BY 1"
            found = session.execute(query.encode()).fetchall()
            assert found == [(False, "*"), (True, "party_root")], table
        awaited = session.execute("SELECT party_id FROM party_place WHERE awaited").fetchall()
        handed_over = session.execute(
            "SELECT refund FROM card_refund_failure WHERE handed_over_at IS NOT NULL"
        ).fetchall()
    assert awaited == [("party_later",)], "the directory's word will reach its money"
    assert handed_over == [("re_case",)], "what has a case is a person's, what has none is not"


def up_to(number: int, directory: Path) -> Schema:
    """The service's schema as it was at a migration, copied to a directory."""
    own = next(source for source in SCHEMA.migrations if source.name == "funding")
    for file in own.directory.glob("*.sql"):
        if int(file.name[:4]) <= number:
            shutil.copy(file, directory)
    return Schema("funding", (MESSAGING_MIGRATIONS, MigrationSource("funding", directory)))


def session_of(dsn: str) -> psycopg.Connection:
    return psycopg.connect(dsn, options="-c search_path=funding")


WALLETS = """
SELECT set_config('tally.tenant', '*', true);
INSERT INTO allocation (pay_in_id, position, account, owner, role, amount, pay_out)
VALUES ('pin_party_c', 0, 'acc_t', 'contact:t', 'beneficiary', 50, false),
       ('pin_party_c', 1, 'acc_p', 'party_p', 'beneficiary', 50, false);
INSERT INTO claimable_wallet (
    account, tenant, owner, currency, balance, program, circumstances, cause, jurisdiction, period,
    dormancy, last_activity_at, dormant_at, opened_at)
SELECT account, 'party_c', 'party_p', 'USD', 0, 'x', '{}', '', 'us', 'us:wallet:2000-01-01', 'active',
       now(), now(), now()
FROM allocation
"""


def test_x3_wallet_of_a_contact_is_the_contacts_again_after_the_upgrade(
    fresh_database: Callable[..., ServiceDatabase], tmp_path: Path
) -> None:
    before = up_to(14, tmp_path)
    dsn = fresh_database(Schema("beside", (MESSAGING_MIGRATIONS,))).admin_dsn
    provision(dsn, [before], {"funding": "for-tests-only"})
    migrate(dsn, before)
    with session_of(dsn) as session:
        session.execute(MONEY.encode())
        session.execute(WALLETS.encode())
    migrate(dsn, SCHEMA)
    with session_of(dsn) as session:
        found = session.execute(
            "SELECT account, owner, period FROM claimable_wallet ORDER BY account"
        ).fetchall()
    assert found == [
        ("acc_p", "party_p", "us:wallet:2000-01-01"),
        ("acc_t", "contact:t", "us:payment:2000-01-01"),
    ]


LAWS = """
SELECT set_config('tally.tenant', '*', true);
INSERT INTO party_place (party_id, tenant, path, country, registered, changed_at)
VALUES ('party_us', 'party_us', '{}', 'US', true, now()),
       ('party_roving', 'party_us', '{party_us}', NULL, true, now()),
       ('party_owner', 'party_us', '{party_us}', 'DE', true, now()),
       ('party_de', 'party_de', '{}', 'DE', true, now());
INSERT INTO allocation (pay_in_id, position, account, owner, role, amount, pay_out)
VALUES ('pin_party_c', 0, 'acc_german_company', 'party_x', 'beneficiary', 50, false);
INSERT INTO claimable_wallet (
    account, tenant, owner, currency, balance, program, circumstances, cause, jurisdiction, period,
    dormancy, last_activity_at, dormant_at, opened_at)
SELECT a.account, a.tenant, a.owner, 'USD', 0, 'x', '{}', '', 'elsewhere', 'elsewhere:wallet:2000-01-01',
       a.dormancy, now(), now(), now()
FROM (VALUES ('acc_by_root', 'party_us', 'party_x', 'dormant'),
             ('acc_apart', 'party_us', 'restricted:party_x', 'active'),
             ('acc_claimed', 'party_us', 'party_x', 'claimed'),
             ('acc_german_company', 'party_us', 'party_x', 'active'),
             ('acc_german', 'party_us', 'party_owner', 'active'),
             ('acc_german_apart', 'party_us', 'restricted:party_owner', 'active'),
             ('acc_german_root', 'party_de', 'party_x', 'active'))
    AS a (account, tenant, owner, dormancy)
"""


def test_f31_clocks_for_which_nobody_names_a_country_are_marked_to_go_by_the_roots(
    fresh_database: Callable[..., ServiceDatabase], tmp_path: Path
) -> None:
    before = up_to(18, tmp_path)
    dsn = fresh_database(Schema("beside", (MESSAGING_MIGRATIONS,))).admin_dsn
    provision(dsn, [before], {"funding": "for-tests-only"})
    migrate(dsn, before)
    with session_of(dsn) as session:
        session.execute(MONEY.encode())
        session.execute(LAWS.encode())
    migrate(dsn, SCHEMA)
    with session_of(dsn) as session:
        found = session.execute(
            "SELECT account FROM claimable_wallet WHERE ask_law ORDER BY account"
        ).fetchall()
    assert found == [("acc_apart",), ("acc_by_root",)]
