"""The JSON files of a run folder as frozen dataclasses: their fields, how each is written and read."""

from experiments.records.baseline import BaselineRecord
from experiments.records.coefficients import CoefficientsRecord, Finding, GridPoint, PointFigures
from experiments.records.division import Amounts, DivisionRecord
from experiments.records.family import FamilyRecord
from experiments.records.fidelity import FidelityRecord, JudgedStandIn, LongTraining
from experiments.records.forecast import ForecastRecord, MemberForecast, RuleForecast
from experiments.records.record import Record, read_json, read_record
from experiments.records.run import CostFacts, DataFacts, RunRecord, SpaceFacts
from experiments.records.training import TrainingRecord

__all__ = [
    "Amounts",
    "BaselineRecord",
    "CoefficientsRecord",
    "CostFacts",
    "DataFacts",
    "DivisionRecord",
    "FamilyRecord",
    "FidelityRecord",
    "Finding",
    "ForecastRecord",
    "GridPoint",
    "JudgedStandIn",
    "LongTraining",
    "MemberForecast",
    "PointFigures",
    "Record",
    "RuleForecast",
    "RunRecord",
    "SpaceFacts",
    "TrainingRecord",
    "read_json",
    "read_record",
]
