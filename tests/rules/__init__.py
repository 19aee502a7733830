"""Rules: their text, and what real servers make of them."""
