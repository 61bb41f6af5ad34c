"""Enrich: irp ranks and dc_status for scans that come without, from their own prices; a STAND-IN, and marked as one.

A scan is a bar of its stream's window. What a scan brings stays as it is; what it lacks is computed as the stand-in
scanner computes it, dc_status on the asset that selection would choose. A repeat of the scan before it adds no bar.
Source: default dc, default asset (docs/design/sources.md).
"""

from typing import Final

import numpy as np

from reactor.standin.window import Record, Window, chosen

PARTS: Final = ("irp", "dc")
MARK: Final = {"enriched": "stand-in"}  # in the context of every scan, so that the first ones of a log tell


class Enricher:
    """The windows of the streams, and what is computed from them."""

    def __init__(self, parts: frozenset[str]) -> None:
        self._irp, self._dc = "irp" in parts, "dc" in parts
        self._windows: dict[str, Window] = {}
        self._last: dict[str, tuple[int, int]] = {}
        self.counts = dict.fromkeys(PARTS, 0)

    def __call__(self, scan: Record) -> Record:
        """The scan with what it lacked, and the mark. Scans of a stream must come in their order."""
        stream, identity = scan["stream"], (scan["scan_id"], scan["ts_ms"])
        window = self._windows.setdefault(stream, Window())
        prices = {symbol: float(price) for symbol, price in sorted(scan["prices"].items()) if price > 0.0}
        if self._last.get(stream) != identity:
            window.push(tuple(prices), np.array(list(prices.values())))
            self._last[stream] = identity
        more: Record = {}
        if self._irp and scan.get("irp") is None:
            more["irp"] = window.irp()
            self.counts["irp"] += 1
        if self._dc and scan.get("dc_status") is None:
            more["dc_status"] = window.dc_status(chosen(scan.get("irp") or more.get("irp") or {}, prices))
            self.counts["dc"] += 1
        return scan | more | {"context": scan.get("context", {}) | MARK}
