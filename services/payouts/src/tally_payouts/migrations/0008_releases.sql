-- What releases of restricted money moved and no payout has taken, in minor units: a payout takes from
-- the first that was asked for since its money came, and from no other.
CREATE TABLE restricted_release (
    owner text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    asked_at timestamptz NOT NULL,
    left_over numeric(38, 0) NOT NULL CHECK (left_over >= 0),
    PRIMARY KEY (owner, currency, asked_at)
);

-- When the last movement was asked for: what it brings came by then.
ALTER TABLE designation ADD COLUMN asked_at timestamptz;
