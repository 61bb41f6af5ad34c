"""Joint points of all inputs for tests: those of the universe, and some rows of them."""

from lanes import universe


def inputs(n, seed, profile):
    """n joint points around the edges of a profile."""
    return universe.points(universe.drawn(range(seed << 32, (seed << 32) + n)), profile)


def take(points, rows):
    """Some rows of the points."""
    return {name: column[rows] for name, column in points.items()}
