"""The live page: what a soak does, and did, in a browser; it reads the journal like everybody else."""
