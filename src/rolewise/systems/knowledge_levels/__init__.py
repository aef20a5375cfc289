"""The parts of a teacher's knowledge: smoothing, relations of classes, confidence in each example."""
