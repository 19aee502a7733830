"""What each kind of SLI counts: as PromQL, and as arithmetic on samples. Two forms of one meaning, side by side."""
