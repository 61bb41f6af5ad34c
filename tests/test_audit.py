"""The audit of the locks: every package is in the bill, has a licence that is on the list, and silence is no finding."""

import json

import pytest

from tests import audit


@pytest.fixture(scope="module")
def packages():
    return [p for lock in audit.RUNTIME for p in audit.locked((audit.ROOT / lock).read_text("utf-8"))]


def test_every_locked_package_is_in_the_bill_with_its_hashes_and_who_wants_it(packages):
    text = "".join((audit.ROOT / lock).read_text("utf-8") for lock in audit.RUNTIME)
    assert len(packages) == sum("==" in line and not line.startswith((" ", "#")) for line in text.splitlines())
    assert sum(len(p.hashes) for p in packages) == text.count("--hash=sha256:")
    made = audit.bill(packages)
    assert made == json.loads(json.dumps(audit.bill(packages)))
    refs = [each["bom-ref"] for each in made["components"]]
    assert len(refs) == len({*refs}) == len(packages)
    depends = {each["ref"]: {*each["dependsOn"]} for each in made["dependencies"]}
    assert depends.keys() == {audit.PROJECT, *refs}
    reached, todo = set(), [audit.PROJECT]
    while todo:
        reached.add(at := todo.pop())
        todo += depends[at] - reached
    assert reached == depends.keys()  # nothing is there that nobody wants
    assert all(component["licenses"][0]["expression"] for component in made["components"])


def test_every_licence_is_on_the_list(packages):
    installed = [p for p in packages if p.name != "pyudorandom"]  # the extra is not everywhere
    assert [f"{p.name}: {audit.licence(p.name)}" for p in installed if not audit.allowed(audit.licence(p.name))] == []


@pytest.mark.parametrize(
    ("expression", "is_allowed"),
    [
        ("MIT", True), ("GPL-3.0-only", False), ("MIT AND GPL-3.0-only", False), ("GPL-3.0-only OR MIT", True),
        ("BSD-2-Clause AND Apache-2.0 WITH LLVM-exception", True), ("", False), ("AGPL-3.0-only", False),
    ],
)  # fmt: skip
def test_a_licence_that_is_not_on_the_list_is_found(expression, is_allowed):
    assert audit.allowed(expression) is is_allowed


def test_a_package_that_nobody_was_asked_about_is_no_finding_and_no_pass():
    answer = {
        "dependencies": [
            {"name": "a", "skip_reason": "Dependency not found"},
            {"name": "b", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]},
            {"name": "c", "version": "1", "vulns": []},
        ]
    }
    assert audit.judged(answer) == (["b 1: PYSEC-1, fixed in 2"], ["a"])


def test_an_audit_that_reached_nobody_fails_and_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(audit, "BILL", audit.ROOT / "dist" / "test.cdx.json")
    monkeypatch.setattr(audit.sys, "executable", str(tmp_path / "python"))  # beside it is no uvx
    try:
        assert audit.main([]) == 1
        said = capsys.readouterr().out
        assert "NOT ASKED for" in said
        assert "says nothing about their known vulnerabilities" in said
        assert audit.main(["--offline"]) == 0
        assert "NOT ASKED (--offline)" in capsys.readouterr().out
    finally:
        audit.BILL.unlink()
