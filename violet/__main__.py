"""`python -m violet` is the command `violet`."""

from reactor.cli.main import main

main()
