-- Payees that were merged: the one each became, straight to the end. Its methods are a way out for what
-- is the other's too, and limits count what both were paid.
ALTER TABLE party_level ADD COLUMN merged_into text COLLATE "C";

-- Nothing is merged yet: to read the table once is all it takes.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX party_level_merged ON party_level (merged_into) WHERE merged_into IS NOT NULL;

-- Whose method a payout has set off with, where that is not its owner's.
ALTER TABLE payout ADD COLUMN method_owner text COLLATE "C";
