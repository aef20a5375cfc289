"""PWKD: a student that learns from ever wider parts of one teacher, in stages with restarts."""
