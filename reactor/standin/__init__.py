"""All that is not the real thing: scanner, seeded market, enrichment, stand-in BLUE."""
