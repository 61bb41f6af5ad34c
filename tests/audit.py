"""What the locks bring: a bill of materials, licences, known vulnerabilities. `make audit`, or python -m tests.audit [--offline].

It writes dist/violet.cdx.json (CycloneDX) and fails where a licence is not on the list, where an advisory fits a locked
version, and where nobody could be asked for advisories: silence is no finding. --offline does not ask, and says so.
"""

import importlib.metadata
import json
import re
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
BILL = ROOT / "dist" / "violet.cdx.json"
RUNTIME = ("requirements.lock", "requirements-tdigest.lock")  # what users install
LOCKS = (*RUNTIME, "requirements-dev.lock")
AUDITOR = "pip-audit==2.10.1"  # run by uvx in an environment of its own: it is no package of this project
WITHIN_S = 240
PROJECT = "violet-reactor"

# Licences under which a package may be used and passed on beside Apache-2.0; MPL-2.0 binds changes of its own files alone.
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MPL-2.0", "PSF-2.0", "Zlib",
    "Apache-2.0 WITH LLVM-exception",
}  # fmt: skip
# What packages say in words of their own.
SPELLED = {
    "Apache 2": "Apache-2.0", "Apache 2.0": "Apache-2.0", "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0", "BSD": "BSD-3-Clause", "BSD License": "BSD-3-Clause",
    "MIT License": "MIT", "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}  # fmt: skip
# Packages whose metadata do not say it, or that are not installed on every system: licence and why it is taken.
LOOKED_UP = {
    "colorama": ("BSD-3-Clause", "its LICENSE.txt; Windows alone has it"),
    "venusian": ("LicenseRef-BSD-derived-Repoze", "its LICENSE.txt: BSD, and changed files must say that they are"),
    "pyudorandom": (
        "LicenseRef-none-named",
        "neither its wheel nor its repository names one; only the extra tdigest has it",
    ),
}


@dataclass
class Package:
    """One version of a package that a lock names."""

    name: str
    version: str
    marker: str
    hashes: list = field(default_factory=list)
    wanted_by: list = field(default_factory=list)

    @property
    def purl(self):
        return f"pkg:pypi/{self.name}@{self.version}"


def locked(text):
    """The packages of a lock file, as uv writes it."""
    found = []
    for line in text.splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==(\S+)(?: ; (.*?))? \\$", line):
            found.append(Package(match[1], match[2], match[3] or ""))
        elif match := re.match(r"\s+--hash=sha256:([0-9a-f]{64})", line):
            found[-1].hashes.append(match[1])
        elif (match := re.match(r"\s+# (?:via )?\s*([A-Za-z0-9._-]+)", line)) and match[1] != "via":
            found[-1].wanted_by.append(match[1])
    return found


def licence(name):
    """The licence of a package as an SPDX expression; empty where nobody says it."""
    if name in LOOKED_UP:
        return LOOKED_UP[name][0]
    try:
        said = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
    classes = [each.split(" :: ")[-1] for each in said.get_all("Classifier") or [] if each.startswith("License :: ")]
    for words in (said.get("License-Expression"), said.get("License"), *classes):
        if words and allowed(known := SPELLED.get(words, words)):
            return known
    return said.get("License-Expression") or ""


def allowed(expression):
    """Whether every part of an SPDX expression is on the list; of alternatives one is enough."""
    if expression in {each for each, _ in LOOKED_UP.values()}:
        return True
    either = re.split(r" OR ", expression)
    return any(all(part.strip("() ") in ALLOWED for part in each.split(" AND ")) for each in either)


def bill(packages):
    """The bill of materials, the same for the same locks."""
    rooted = [p.purl for p in packages if not p.wanted_by or PROJECT in p.wanted_by]
    depends = {p.purl: sorted({q.purl for q in packages if p.name in q.wanted_by}) for p in packages}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, ' '.join(sorted(p.purl for p in packages)))}",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": PROJECT, "bom-ref": PROJECT}},
        "components": [
            {
                "type": "library", "bom-ref": p.purl, "name": p.name, "version": p.version, "purl": p.purl,
                "licenses": [{"expression": licence(p.name)}],
                "hashes": [{"alg": "SHA-256", "content": each} for each in p.hashes],
                "properties": [{"name": "violet:marker", "value": p.marker}] if p.marker else [],
            }
            for p in packages
        ],
        "dependencies": [
            {"ref": PROJECT, "dependsOn": sorted(rooted)},
            *({"ref": ref, "dependsOn": on} for ref, on in depends.items()),
        ],
    }  # fmt: skip


def judged(answer):
    """Of the auditor's answer: what is vulnerable, in words, and the packages that nobody was asked about."""
    bad, unasked = [], []
    for each in answer["dependencies"]:
        if "skip_reason" in each:
            unasked.append(each["name"])
        for fault in each.get("vulns", ()):
            fixed = ", ".join(fault["fix_versions"]) or "no version yet"
            bad.append(f"{each['name']} {each['version']}: {fault['id']}, fixed in {fixed}")
    return bad, unasked


def advisories(lock):
    """What `judged` gives of a lock; every package is unasked where the auditor cannot be run."""
    command = [
        Path(sys.executable).parent / "uvx", AUDITOR, "--disable-pip", "--require-hashes", "--progress-spinner", "off",
        "--format", "json", "--requirement", ROOT / lock,
    ]  # fmt: skip
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=WITHIN_S)
        return judged(json.loads(done.stdout))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return [], [package.name for package in locked((ROOT / lock).read_text("utf-8"))]


def main(arguments):
    packages = [p for lock in RUNTIME for p in locked((ROOT / lock).read_text("utf-8"))]
    BILL.parent.mkdir(exist_ok=True)
    BILL.write_text(json.dumps(bill(packages), indent=1) + "\n", "utf-8")
    print(f"bill of materials: {len(packages)} packages in {BILL.relative_to(ROOT)}")
    refused = [
        f"{p.name} {p.version}: {licence(p.name) or 'none is named'}" for p in packages if not allowed(licence(p.name))
    ]
    print(f"licences: {len(packages) - len(refused)} of {len(packages)} on the list", *refused, sep="\n  NOT ALLOWED ")
    for name, (taken, why) in LOOKED_UP.items():
        print(f"  {name}: {taken}, {why}")
    if "--offline" in arguments:
        print("advisories: NOT ASKED (--offline); this says nothing about known vulnerabilities")
        return 1 if refused else 0
    answers = [advisories(lock) for lock in LOCKS]
    bad = sorted({each for found, _ in answers for each in found})
    unasked = sorted({each for _, found in answers for each in found})
    print(f"advisories: {len(bad)} fit a locked version", *bad, sep="\n  VULNERABLE ")
    if unasked:
        print(
            f"advisories: NOT ASKED for {len(unasked)} packages: {AUDITOR} did not reach its database, or has not heard "
            "of them; this says nothing about their known vulnerabilities\n"
            "  fix: run `make audit` where the host of the Python package index answers; ARGS=--offline checks the licences alone"
        )
    return 1 if refused or bad or unasked else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
