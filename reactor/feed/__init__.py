"""Foreign rows become records in one ordered log."""
