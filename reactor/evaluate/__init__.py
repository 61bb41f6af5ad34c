"""Bytes become outcomes, as columns: pure functions of records, params and the state before them."""
