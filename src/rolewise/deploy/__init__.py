"""Deployment: a trained network as a checked file of another format, with a model card."""

from rolewise.deploy.export import default_stage, export_stage
from rolewise.deploy.model_card import Exported
from rolewise.deploy.network_export import NetworkFile, export_network
from rolewise.deploy.prediction_tables import prediction_as_json
from rolewise.deploy.predictor import (
    Prediction,
    Predictor,
    content_prediction,
    picture_predictions,
    predict_pictures,
    predictor_of_file,
    predictor_of_run,
)
from rolewise.deploy.text_predictor import (
    TextPrediction,
    TextPredictor,
    text_predictions,
    text_predictor_of_file,
    text_predictor_of_run,
)
from rolewise.deploy.text_tables import text_as_json

__all__ = [
    "Exported",
    "NetworkFile",
    "Prediction",
    "Predictor",
    "TextPrediction",
    "TextPredictor",
    "content_prediction",
    "default_stage",
    "export_network",
    "export_stage",
    "picture_predictions",
    "predict_pictures",
    "prediction_as_json",
    "predictor_of_file",
    "predictor_of_run",
    "text_as_json",
    "text_predictions",
    "text_predictor_of_file",
    "text_predictor_of_run",
]
