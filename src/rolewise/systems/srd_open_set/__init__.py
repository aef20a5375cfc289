"""SRD: distillation through the teacher's classifier, on labelled pictures and unlabelled ones of any classes."""
