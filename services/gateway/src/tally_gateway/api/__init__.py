"""The public HTTP API: each module holds the operations of one part of it."""
