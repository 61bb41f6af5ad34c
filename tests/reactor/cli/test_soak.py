"""`violet soak`: its flags, and which of flag and file wins."""

import pytest
from click.testing import CliRunner

from reactor.cli import soak
from reactor.run.settings import SoakSettings

BOOLEANS = [field.alias or name for name, field in SoakSettings.model_fields.items() if field.annotation is bool]


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """asked(FLAGS..., file=TOML) -> the settings of a soak that is not run."""
    seen = []
    monkeypatch.setattr(soak, "run", lambda settings, as_json: seen.append(settings) or 0)

    def ask(*flags, file=""):
        (tmp_path / "violet.toml").write_text(file, "utf-8")
        done = CliRunner().invoke(soak.command, [*flags, "--config", str(tmp_path / "violet.toml")])
        assert done.exit_code == 0, done.output
        return seen.pop().soak

    return ask


@pytest.mark.parametrize("name", BOOLEANS)
@pytest.mark.parametrize(("flag", "file", "wanted"), [
    ("", "", False), ("", "true", True), ("--", "", True), ("--", "false", True), ("--no-", "true", False),
    ("--no-", "", False),
])  # fmt: skip
def test_a_boolean_flag_wins_over_the_file_either_way(asked, name, flag, file, wanted):
    flags = [flag + name.replace("_", "-")] if flag else []
    found = asked(*flags, file=f"[reactor]\n{name} = {file}\n" if file else "")
    assert getattr(found, name) is wanted
