-- Imports can be cancelled, and a row that was refused says what to do about it.

-- squawk-ignore ban-drop-constraint
ALTER TABLE bulk_import DROP CONSTRAINT bulk_import_state_check;
ALTER TABLE bulk_import ADD CONSTRAINT bulk_import_state
CHECK (state IN ('receiving', 'received', 'cancelled')) NOT VALID;
ALTER TABLE bulk_row ADD COLUMN remedy text;
