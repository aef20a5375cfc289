"""CTSL-MKT: two peers that learn from each other, from relations between examples, and from their own past."""
