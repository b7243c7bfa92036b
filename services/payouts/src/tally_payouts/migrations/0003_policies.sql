-- What programs allow, and which version a payout has opened with.

CREATE TABLE program_policy (
    program text COLLATE "C" NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    effective_from timestamptz NOT NULL,
    effective_until timestamptz,
    document jsonb NOT NULL,
    PRIMARY KEY (program, version)
);

ALTER TABLE payout ADD COLUMN source text COLLATE "C";
ALTER TABLE payout ADD COLUMN policy_version integer;
