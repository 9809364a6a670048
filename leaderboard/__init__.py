"""How it is told: tables made from evidence. Computes nothing and never needs a model."""
