"""Which stock MONAI networks can be trained, and in which sizes."""

from HQCSegmentLib.networks.catalogue import NETWORKS, PRESETS, NetworkSpec, specify
from HQCSegmentLib.networks.forward import logits, outputs
from HQCSegmentLib.networks.surgery import with_inputs, with_outputs

__all__ = ["NETWORKS", "PRESETS", "NetworkSpec", "logits", "outputs", "specify", "with_inputs", "with_outputs"]
