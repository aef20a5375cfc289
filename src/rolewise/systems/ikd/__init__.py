"""IKD: detectors distilled on pictures augmented by the size of their boxes, and on adversarial pictures."""
