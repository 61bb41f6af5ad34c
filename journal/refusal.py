"""A command's refusal: names the rule that was broken and the fix."""


class Refusal(Exception):
    """Nothing was changed. Carries one sentence for people; the command exits 3."""
