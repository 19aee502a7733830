"""The first ten minutes: definitions to start from, and explanations of kinds, definitions and notes."""
