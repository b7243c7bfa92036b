-- A list of imports is read newest first; imports are few enough for an index made at once.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX bulk_import_newest ON bulk_import (principal, started_at DESC, import_id DESC);
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX bulk_import_of_principal;
