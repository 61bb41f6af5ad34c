"""Places that BLUE's trades come from."""
