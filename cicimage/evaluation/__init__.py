"""Results held against truth."""
