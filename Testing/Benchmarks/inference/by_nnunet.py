"""nnU-Net v2's predictor on an array, with its own resampling: FOLDER OVERLAP THREADS DEVICE."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch
from subject import DEVIATION, HIGH, LOW, MEAN, SPACING, STRUCTURES, WINDOW, WORKING_SPACING, measured, network_on

for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(name, "")


def plans() -> dict:
    """What nnU-Net's planner would write for this network, with its default resampling."""
    resampling = "resample_data_or_seg_to_shape"
    order = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    scores = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "plans_3d", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
        "patch_size": list(WINDOW), "median_image_size_in_voxels": list(WINDOW), "spacing": list(WORKING_SPACING),
        "normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [False],
        "resampling_fn_data": resampling, "resampling_fn_seg": resampling, "resampling_fn_probabilities": resampling,
        "resampling_fn_data_kwargs": order, "resampling_fn_seg_kwargs": {**order, "is_seg": True, "order": 1},
        "resampling_fn_probabilities_kwargs": scores,
        "architecture": {"network_class_name": "none", "arch_kwargs": {}, "_kw_requires_import": []},
        "batch_dice": False,
    }  # fmt: skip
    intensities = {
        "percentile_00_5": LOW, "percentile_99_5": HIGH, "mean": MEAN, "std": DEVIATION, "min": LOW, "max": HIGH,
        "median": MEAN,
    }  # fmt: skip
    return {
        "dataset_name": "Dataset001_Benchmark", "plans_name": "plans",
        "original_median_spacing_after_transp": list(SPACING), "original_median_shape_after_transp": list(WINDOW),
        "image_reader_writer": "SimpleITKIO", "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration}, "experiment_planner_used": "none",
        "label_manager": "LabelManager", "foreground_intensity_properties_per_channel": {"0": intensities},
    }  # fmt: skip


def main(folder: Path, overlap: float, threads: int, device: str) -> None:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    torch.set_num_threads(threads)
    network = network_on(device)
    array = np.load(folder / "ct.npy")
    labels = {"background": 0} | {f"structure_{value}": value for value in range(1, STRUCTURES + 1)}
    dataset = {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz", "numTraining": 1}
    with measured(folder / "nnunet.json"):
        predictor = nnUNetPredictor(
            tile_step_size=1 - overlap, use_gaussian=True, use_mirroring=False,
            perform_everything_on_device=device != "cpu",
            device=torch.device(device), allow_tqdm=False,
        )  # fmt: skip
        manager = PlansManager(plans())
        predictor.manual_initialization(
            network, manager, manager.get_configuration("3d_fullres"), [network.state_dict()], dataset,
            "nnUNetTrainer", None,
        )  # fmt: skip
        label = predictor.predict_single_npy_array(
            array[None].astype(np.float32), {"spacing": list(SPACING)}, None, None, False
        )
    np.save(folder / "nnunet.npy", label.astype(np.uint8))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
