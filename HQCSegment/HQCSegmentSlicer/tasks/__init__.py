"""The steps of the module, each as the command it runs and what becomes of its result."""

from HQCSegmentSlicer.tasks.checking import CheckResult, check_task
from HQCSegmentSlicer.tasks.delivering import evaluation_task, send_task, structure_set_task
from HQCSegmentSlicer.tasks.segmenting import segment_task
from HQCSegmentSlicer.tasks.showing import devices_task, show_case_task, synthetic_patients_task
from HQCSegmentSlicer.tasks.task import Outcome, Task, private_folder
from HQCSegmentSlicer.tasks.training import fine_tune_task

__all__ = [
    "CheckResult",
    "Outcome",
    "Task",
    "check_task",
    "devices_task",
    "evaluation_task",
    "fine_tune_task",
    "private_folder",
    "segment_task",
    "send_task",
    "show_case_task",
    "structure_set_task",
    "synthetic_patients_task",
]
