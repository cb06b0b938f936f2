"""TG-263 names for the segments of a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import slicer
from slicer.i18n import tr as _

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.naming import propose, structure_for
from HQCSegmentSlicer.terminology import set_terminology
from HQCSegmentSlicer.undo import save_for_undo


def proposed_names(names: Iterable[str]) -> list[tuple[str, str, str]]:
    """Each segment name with the name proposed for it and a remark in words."""
    remarks = {
        "exact": _("correct"),
        "synonym": _("known under this name"),
        "similar": _("similar: please confirm"),
        "no side": _("please add a side: _L or _R"),
        "unknown": _("not in TG-263: kept"),
    }
    return [(one.name, one.tg263_name or one.name, remarks[one.match]) for one in propose(list(names))]


def rename_segments(node: slicer.vtkMRMLSegmentationNode, names: Mapping[str, str]) -> None:
    """Rename segments, and set codes and colors of those that the catalogue knows; can be undone.

    Args:
        node: Segmentation.
        names: New name by name; segments that are not listed keep theirs.

    Raises:
        InputError: if a new name is empty, or two segments would have the same one.
    """
    content = node.GetSegmentation()
    segments = [content.GetSegment(key) for key in content.GetSegmentIDs()]
    wanted = [names.get(segment.GetName(), segment.GetName()).strip() for segment in segments]
    for segment, name in zip(segments, wanted, strict=True):
        if not name:
            raise InputError(_("Give {name} a name.").format(name=segment.GetName()))
        if wanted.count(name) > 1:
            raise InputError(_("Two segments would be named {name}: choose another name.").format(name=name))
    save_for_undo(node)
    was_modifying = node.StartModify()
    try:
        for value, (segment, name) in enumerate(zip(segments, wanted, strict=True), start=1):
            known = structure_for(name, value)
            segment.SetName(name)
            if known.tg263_name is not None:
                segment.SetColor(*(channel / 255 for channel in known.color))
            if known.terminology is not None:
                set_terminology(segment, known.terminology)
    finally:
        node.EndModify(was_modifying)
