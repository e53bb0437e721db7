"""Pure functions over what was written down: records, token counts, metrics, results."""
