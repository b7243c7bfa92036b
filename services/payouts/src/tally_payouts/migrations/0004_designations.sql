-- Whose the money of an owner nobody knew is since, and how much of it no payout has taken, in minor
-- units: payouts that waited under the former owner go on under the new one.
CREATE TABLE designation (
    owner text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    to_owner text COLLATE "C" NOT NULL,
    left_over numeric(38, 0) NOT NULL CHECK (left_over >= 0),
    PRIMARY KEY (owner, currency),
    CONSTRAINT designation_leads_elsewhere CHECK (owner <> to_owner)
);
