"""Judges maps: one file a measure, its definition first. Nothing here knows how a map was made."""

from trust.class_sensitivity import class_sensitivity
from trust.controls import make_controls
from trust.curves import deletion, insertion
from trust.grid_pointing import grid_pointing, make_mosaics
from trust.intervals import Interval, mean_intervals
from trust.max_sensitivity import max_sensitivity
from trust.mu_fidelity import mu_fidelity
from trust.weight_sensitivity import efficient_mprt, randomised, weight_sensitivity

__all__ = [
    "Interval",
    "class_sensitivity",
    "deletion",
    "efficient_mprt",
    "grid_pointing",
    "insertion",
    "make_controls",
    "make_mosaics",
    "max_sensitivity",
    "mean_intervals",
    "mu_fidelity",
    "randomised",
    "weight_sensitivity",
]
