-- The kind of value a pay-in announced: a program's policy may close endpoints to it.
ALTER TABLE payout ADD COLUMN kind text COLLATE "C";
