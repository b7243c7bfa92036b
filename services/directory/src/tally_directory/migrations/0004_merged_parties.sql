-- tally: no-transaction
-- Who became a party, so that what they have is read with what it has.
CREATE INDEX CONCURRENTLY IF NOT EXISTS party_merged_into ON party (merged_into)
    WHERE merged_into IS NOT NULL;
