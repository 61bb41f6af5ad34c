"""The exactly-once append: batches, runs with their segments, incidents."""
