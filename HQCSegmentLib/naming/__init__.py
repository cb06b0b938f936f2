"""Names of structures: from those that hospitals use to TG-263, by rules and by a table that the user can edit."""

from HQCSegmentLib.naming.catalogue import PALETTE, CatalogueEntry, catalogue, fma_code, structure_for
from HQCSegmentLib.naming.matching import Match, Proposal, Side, propose, side_of
from HQCSegmentLib.naming.short_names import LONGEST, short_name, short_names
from HQCSegmentLib.naming.table import LEFT_OUT, TABLE, read_table, save_names, write_table
from HQCSegmentLib.naming.validation import NameCheck, check_name

__all__ = [
    "LEFT_OUT",
    "LONGEST",
    "PALETTE",
    "TABLE",
    "CatalogueEntry",
    "Match",
    "NameCheck",
    "Proposal",
    "Side",
    "catalogue",
    "check_name",
    "fma_code",
    "propose",
    "read_table",
    "save_names",
    "short_name",
    "short_names",
    "side_of",
    "structure_for",
    "write_table",
]
