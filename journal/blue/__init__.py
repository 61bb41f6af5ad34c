"""BLUE's trades: what is brought in, how it is cleaned, and the first look at them beside the journal."""
