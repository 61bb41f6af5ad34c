"""The modular topology: every lane a stage of its own on Faust, and the join of what they say."""
