"""Definitions: YAML in, frozen validated SLOs out."""
