"""The drill: faults that are really injected, in a scratch directory, and what must hold after each."""
