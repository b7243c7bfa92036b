-- Whom a transfer was to be credited to: the same id with another payee is another transfer. Rows of
-- before did not note it.
ALTER TABLE cross_credit ADD COLUMN credit text COLLATE "C";
