"""Which stock MONAI networks can be trained, and in which sizes."""

from HQCSegmentLib.networks.catalogue import NETWORKS, PRESETS, NetworkSpec, specify
from HQCSegmentLib.networks.forward import logits, outputs

__all__ = ["NETWORKS", "PRESETS", "NetworkSpec", "logits", "outputs", "specify"]
