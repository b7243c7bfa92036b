-- Codes a person confirms a debit with. A code itself is kept nowhere: `code_hash` is keyed.

CREATE TABLE step_up (
    challenge_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    principal text COLLATE "C" NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    state text NOT NULL CHECK (state IN ('open', 'used', 'dead')),
    attempts smallint NOT NULL CHECK (attempts BETWEEN 0 AND 5),
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX step_up_of_principal ON step_up (principal, issued_at);
CREATE INDEX step_up_by_age ON step_up (issued_at);

ALTER TABLE step_up ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON step_up
USING (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*')
WITH CHECK (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*');
