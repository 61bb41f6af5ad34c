"""Moving records: topic to decisions to journal."""
