"""Which stock MONAI networks can be trained, and in which sizes."""

from HQCSegmentLib.networks.catalogue import NETWORKS, PRESETS, NetworkSpec, specify
from HQCSegmentLib.networks.forward import logits, outputs, tell_all_depths, with_deep_supervision
from HQCSegmentLib.networks.slices import Slices, input_names, neighbours
from HQCSegmentLib.networks.surgery import with_inputs, with_outputs

__all__ = [
    "NETWORKS",
    "PRESETS",
    "NetworkSpec",
    "Slices",
    "input_names",
    "logits",
    "neighbours",
    "outputs",
    "specify",
    "tell_all_depths",
    "with_deep_supervision",
    "with_inputs",
    "with_outputs",
]
