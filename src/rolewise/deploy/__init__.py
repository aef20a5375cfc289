"""Deployment: a trained network as a checked file of another format, with a model card."""

from rolewise.deploy.export import default_stage, export_stage
from rolewise.deploy.model_card import Exported

__all__ = ["Exported", "default_stage", "export_stage"]
