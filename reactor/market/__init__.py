"""What stands upstream of the topic: scanner, seeded market, publisher."""
