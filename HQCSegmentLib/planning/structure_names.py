"""Names of structures as outputs carry them; the catalogue itself lies in `HQCSegmentLib.naming`."""

from __future__ import annotations

from HQCSegmentLib.naming import PALETTE, CatalogueEntry, catalogue, structure_for

__all__ = ["PALETTE", "CatalogueEntry", "catalogue", "structure_for"]
