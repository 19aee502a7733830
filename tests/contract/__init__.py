"""The contract of counting, held against histories whose every event is known."""
