"""The JSON files of a run folder as frozen dataclasses: their fields, how each is written and read."""

from experiments.run.records.baseline import BaselineRecord
from experiments.run.records.coefficients import CoefficientsRecord, Finding, GridPoint, PointFigures
from experiments.run.records.family import FamilyRecord
from experiments.run.records.fidelity import FidelityRecord, JudgedStandIn, LongTraining
from experiments.run.records.record import Record, read_json, read_record
from experiments.run.records.run import CostFacts, DataFacts, RunRecord, SpaceFacts
from experiments.run.records.training import TrainingRecord

__all__ = [
    "BaselineRecord",
    "CoefficientsRecord",
    "CostFacts",
    "DataFacts",
    "FamilyRecord",
    "FidelityRecord",
    "Finding",
    "GridPoint",
    "JudgedStandIn",
    "LongTraining",
    "PointFigures",
    "Record",
    "RunRecord",
    "SpaceFacts",
    "TrainingRecord",
    "read_json",
    "read_record",
]
