"""Distillation beyond compression: nine methods under label noise, imbalance, corruption and transfer."""
