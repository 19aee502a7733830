"""Service level indicators: one file per kind, each with its YAML, how it counts samples, its PromQL and its words."""
