"""The directory in SQL: a batch is read by `reading`, saved by `saving`, whatever its size."""
