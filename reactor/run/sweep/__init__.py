"""Sweeps: a million bindings of params over the scans of one run."""
