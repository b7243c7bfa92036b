-- Owner references of payouts by the party each names: a level is told of the party.
CREATE TABLE party_owner (
    owner text COLLATE "C" PRIMARY KEY,
    party_id text COLLATE "C" NOT NULL
);
CREATE INDEX party_owner_of ON party_owner (party_id);

-- What is held under a reference was asked about as if nobody had told of its party.
INSERT INTO exit_due (owner, at)
SELECT DISTINCT owner, now() FROM payout WHERE state = 'held'
ON CONFLICT DO NOTHING;
