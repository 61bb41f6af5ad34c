"""The refusal of a lane that a package brings. It loads nothing, so that every command can name it."""


class Unfit(ValueError):
    """A lane cannot stand beside the others, or cannot be loaded; its text names it and the rule."""
