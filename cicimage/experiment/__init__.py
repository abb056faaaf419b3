"""experiment.toml and layout.csv -> Experiment: what was recorded, how, and by which design."""

from cicimage.experiment.design import Experiment, load_experiment, override
from cicimage.experiment.position import Position
from cicimage.experiment.schema import ExperimentFile, json_schema, parse

__all__ = ["Experiment", "ExperimentFile", "Position", "json_schema", "load_experiment", "override", "parse"]
