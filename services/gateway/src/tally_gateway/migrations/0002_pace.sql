-- How far each credential's bucket of requests is filled, so that all replicas draw from one.
-- Microseconds since 1970: the moment from which it is full again.
ALTER TABLE credential ADD COLUMN full_at_us bigint NOT NULL DEFAULT 0;
