-- Money belongs to a tenant: the root of the company's tree, or `*` as long as the directory has not told
-- of the company. Rows show to whoever set tally.tenant to their tenant; this service sets it to *.
SELECT set_config('tally.tenant', '*', true);

-- Companies that money named before the directory did: their tenant is `*` until it does.
ALTER TABLE party_place ADD COLUMN awaited boolean NOT NULL DEFAULT false;

-- Who imported a statement or sent a webhook; not known of those that came before.
ALTER TABLE statement ADD COLUMN company text COLLATE "C";
ALTER TABLE webhook_event ADD COLUMN company text COLLATE "C";
UPDATE statement s SET company = (
    SELECT min(p.company) FROM statement_entry e JOIN pay_in p USING (pay_in_id)
    WHERE e.statement_key = s.statement_key);
UPDATE webhook_event w SET company = c.company
FROM card_payment c WHERE c.pay_in_id = w.pay_in_id;

ALTER TABLE pay_in ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE statement ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE webhook_event ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE card_payment ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE manual_entry ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE expectation ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE allocation ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE suspense_case ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE repeated_announcement ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE pay_in_match ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE match_look ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE pay_in_return ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE return_leg ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE receivable ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE receivable_settlement ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE card_dispute ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';
ALTER TABLE statement_entry ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '*';

-- Every company is held from now on, so that the directory's word reaches its money.
INSERT INTO party_place (party_id, tenant, path, registered, changed_at, awaited)
SELECT company, '*', '{}', false, now(), true FROM (
    SELECT company FROM pay_in
    UNION SELECT company FROM statement
    UNION SELECT company FROM webhook_event
    UNION SELECT company FROM card_payment
    UNION SELECT company FROM manual_entry
    UNION SELECT company FROM expectation
) AS named WHERE company IS NOT NULL
ON CONFLICT (party_id) DO NOTHING;

UPDATE pay_in r SET tenant = p.tenant
FROM party_place p WHERE p.party_id = r.company AND p.tenant <> '*';
UPDATE statement r SET tenant = p.tenant
FROM party_place p WHERE p.party_id = r.company AND p.tenant <> '*';
UPDATE webhook_event r SET tenant = p.tenant
FROM party_place p WHERE p.party_id = r.company AND p.tenant <> '*';
UPDATE card_payment r SET tenant = p.tenant
FROM party_place p WHERE p.party_id = r.company AND p.tenant <> '*';
UPDATE manual_entry r SET tenant = p.tenant
FROM party_place p WHERE p.party_id = r.company AND p.tenant <> '*';
UPDATE expectation r SET tenant = p.tenant
FROM party_place p WHERE p.party_id = r.company AND p.tenant <> '*';
UPDATE allocation r SET tenant = p.tenant
FROM pay_in p WHERE p.pay_in_id = r.pay_in_id AND p.tenant <> '*';
UPDATE suspense_case r SET tenant = p.tenant
FROM pay_in p WHERE p.pay_in_id = r.pay_in_id AND p.tenant <> '*';
UPDATE repeated_announcement r SET tenant = p.tenant
FROM pay_in p WHERE p.pay_in_id = r.pay_in_id AND p.tenant <> '*';
UPDATE pay_in_match r SET tenant = p.tenant
FROM pay_in p WHERE p.pay_in_id = r.pay_in_id AND p.tenant <> '*';
UPDATE match_look r SET tenant = p.tenant
FROM pay_in p WHERE p.pay_in_id = r.pay_in_id AND p.tenant <> '*';
UPDATE pay_in_return r SET tenant = p.tenant
FROM pay_in p WHERE p.pay_in_id = r.pay_in_id AND p.tenant <> '*';
UPDATE return_leg r SET tenant = p.tenant
FROM pay_in_return p WHERE p.return_id = r.return_id AND p.tenant <> '*';
UPDATE receivable r SET tenant = p.tenant
FROM pay_in_return p WHERE p.return_id = r.return_id AND p.tenant <> '*';
UPDATE receivable_settlement r SET tenant = p.tenant
FROM receivable p WHERE p.receivable_id = r.receivable_id AND p.tenant <> '*';
UPDATE card_dispute r SET tenant = p.tenant
FROM card_payment p WHERE p.pay_in_id = r.pay_in_id AND p.tenant <> '*';
UPDATE statement_entry r SET tenant = p.tenant
FROM statement p WHERE p.statement_key = r.statement_key AND p.tenant <> '*';

-- A row of its own company states its tenant; any other has that of the row it belongs to.

CREATE FUNCTION tenant_of_pay_in() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Locked as the foreign key locks it: who changes the tenant of the one waits for the other.
    SELECT p.tenant INTO NEW.tenant FROM pay_in p WHERE p.pay_in_id = NEW.pay_in_id FOR KEY SHARE;
    RETURN NEW;
END
$$;
CREATE TRIGGER allocation_tenant BEFORE INSERT ON allocation
    FOR EACH ROW EXECUTE FUNCTION tenant_of_pay_in();
CREATE TRIGGER suspense_case_tenant BEFORE INSERT ON suspense_case
    FOR EACH ROW EXECUTE FUNCTION tenant_of_pay_in();
CREATE TRIGGER repeated_announcement_tenant BEFORE INSERT ON repeated_announcement
    FOR EACH ROW EXECUTE FUNCTION tenant_of_pay_in();
CREATE TRIGGER pay_in_match_tenant BEFORE INSERT ON pay_in_match
    FOR EACH ROW EXECUTE FUNCTION tenant_of_pay_in();
CREATE TRIGGER match_look_tenant BEFORE INSERT ON match_look
    FOR EACH ROW EXECUTE FUNCTION tenant_of_pay_in();
CREATE TRIGGER pay_in_return_tenant BEFORE INSERT ON pay_in_return
    FOR EACH ROW EXECUTE FUNCTION tenant_of_pay_in();

CREATE FUNCTION tenant_of_pay_in_return() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Locked as the foreign key locks it: who changes the tenant of the one waits for the other.
    SELECT p.tenant INTO NEW.tenant FROM pay_in_return p WHERE p.return_id = NEW.return_id FOR KEY SHARE;
    RETURN NEW;
END
$$;
CREATE TRIGGER return_leg_tenant BEFORE INSERT ON return_leg
    FOR EACH ROW EXECUTE FUNCTION tenant_of_pay_in_return();
CREATE TRIGGER receivable_tenant BEFORE INSERT ON receivable
    FOR EACH ROW EXECUTE FUNCTION tenant_of_pay_in_return();

CREATE FUNCTION tenant_of_receivable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Locked as the foreign key locks it: who changes the tenant of the one waits for the other.
    SELECT p.tenant INTO NEW.tenant FROM receivable p WHERE p.receivable_id = NEW.receivable_id FOR KEY SHARE;
    RETURN NEW;
END
$$;
CREATE TRIGGER receivable_settlement_tenant BEFORE INSERT ON receivable_settlement
    FOR EACH ROW EXECUTE FUNCTION tenant_of_receivable();

CREATE FUNCTION tenant_of_card_payment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Locked as the foreign key locks it: who changes the tenant of the one waits for the other.
    SELECT p.tenant INTO NEW.tenant FROM card_payment p WHERE p.pay_in_id = NEW.pay_in_id FOR KEY SHARE;
    RETURN NEW;
END
$$;
CREATE TRIGGER card_dispute_tenant BEFORE INSERT ON card_dispute
    FOR EACH ROW EXECUTE FUNCTION tenant_of_card_payment();

CREATE FUNCTION tenant_of_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Locked as the foreign key locks it: who changes the tenant of the one waits for the other.
    SELECT p.tenant INTO NEW.tenant FROM statement p WHERE p.statement_key = NEW.statement_key FOR KEY SHARE;
    RETURN NEW;
END
$$;
CREATE TRIGGER statement_entry_tenant BEFORE INSERT ON statement_entry
    FOR EACH ROW EXECUTE FUNCTION tenant_of_statement();

-- With the columns above in one transaction; where the directory is used, these hold few rows.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX pay_in_awaits_tenant ON pay_in (company) WHERE tenant = '*';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX statement_awaits_tenant ON statement (company) WHERE tenant = '*';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX webhook_event_awaits_tenant ON webhook_event (company) WHERE tenant = '*';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX card_payment_awaits_tenant ON card_payment (company) WHERE tenant = '*';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX manual_entry_awaits_tenant ON manual_entry (company) WHERE tenant = '*';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX expectation_awaits_tenant ON expectation (company) WHERE tenant = '*';

ALTER TABLE pay_in ENABLE ROW LEVEL SECURITY;
ALTER TABLE pay_in FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON pay_in USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE statement ENABLE ROW LEVEL SECURITY;
ALTER TABLE statement FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON statement USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE webhook_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_event FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON webhook_event USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE card_payment ENABLE ROW LEVEL SECURITY;
ALTER TABLE card_payment FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON card_payment USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE manual_entry ENABLE ROW LEVEL SECURITY;
ALTER TABLE manual_entry FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON manual_entry USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE expectation ENABLE ROW LEVEL SECURITY;
ALTER TABLE expectation FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON expectation USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE allocation ENABLE ROW LEVEL SECURITY;
ALTER TABLE allocation FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON allocation USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE suspense_case ENABLE ROW LEVEL SECURITY;
ALTER TABLE suspense_case FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON suspense_case USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE repeated_announcement ENABLE ROW LEVEL SECURITY;
ALTER TABLE repeated_announcement FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON repeated_announcement USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE pay_in_match ENABLE ROW LEVEL SECURITY;
ALTER TABLE pay_in_match FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON pay_in_match USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE match_look ENABLE ROW LEVEL SECURITY;
ALTER TABLE match_look FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON match_look USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE pay_in_return ENABLE ROW LEVEL SECURITY;
ALTER TABLE pay_in_return FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON pay_in_return USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE return_leg ENABLE ROW LEVEL SECURITY;
ALTER TABLE return_leg FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON return_leg USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE receivable ENABLE ROW LEVEL SECURITY;
ALTER TABLE receivable FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON receivable USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE receivable_settlement ENABLE ROW LEVEL SECURITY;
ALTER TABLE receivable_settlement FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON receivable_settlement USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE card_dispute ENABLE ROW LEVEL SECURITY;
ALTER TABLE card_dispute FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON card_dispute USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE statement_entry ENABLE ROW LEVEL SECURITY;
ALTER TABLE statement_entry FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON statement_entry USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));

-- Notifications (camt.054) beside statements: without balances, of single entries that a statement repeats.
ALTER TABLE statement ADD COLUMN kind text COLLATE "C" NOT NULL DEFAULT 'statement'
    CHECK (kind IN ('statement', 'notification'));
-- squawk-ignore ban-drop-not-null
ALTER TABLE statement ALTER COLUMN opening DROP NOT NULL;
-- squawk-ignore ban-drop-not-null
ALTER TABLE statement ALTER COLUMN closing DROP NOT NULL;
-- squawk-ignore ban-drop-not-null
ALTER TABLE statement ALTER COLUMN continuity DROP NOT NULL;
-- Few rows, one a day and account: read at once.
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE statement ADD CONSTRAINT statement_has_balances CHECK (
    kind = 'notification' OR (opening IS NOT NULL AND closing IS NOT NULL AND continuity IS NOT NULL));

-- The reference of the whole entry where a line is one payment of it; by these a notice is known again.
ALTER TABLE statement_entry ADD COLUMN entry_reference text;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX statement_entry_bank_reference ON statement_entry (bank_reference)
    WHERE pay_in_id IS NOT NULL AND bank_reference IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX statement_entry_of_entry ON statement_entry (entry_reference)
    WHERE pay_in_id IS NOT NULL AND entry_reference IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX statement_entry_uetr ON statement_entry (uetr)
    WHERE pay_in_id IS NOT NULL AND uetr IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX statement_entry_end_to_end ON statement_entry (end_to_end_id)
    WHERE pay_in_id IS NOT NULL AND end_to_end_id IS NOT NULL;

-- What the processor said was refunded in total, by the second in which it said so.
ALTER TABLE card_payment ADD COLUMN refund_totals jsonb NOT NULL DEFAULT '{}';

-- Refunds that the processor could not pay out, and the return that was undone for each.
CREATE TABLE card_refund_failure (
    pay_in_id text COLLATE "C" NOT NULL REFERENCES card_payment,
    refund text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    failed_at timestamptz NOT NULL,
    return_id text COLLATE "C" REFERENCES pay_in_return,
    tenant text COLLATE "C" NOT NULL,
    PRIMARY KEY (pay_in_id, refund)
);
CREATE TRIGGER card_refund_failure_tenant BEFORE INSERT ON card_refund_failure
    FOR EACH ROW EXECUTE FUNCTION tenant_of_card_payment();
ALTER TABLE card_refund_failure ENABLE ROW LEVEL SECURITY;
ALTER TABLE card_refund_failure FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON card_refund_failure USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
