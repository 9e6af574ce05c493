"""Records to tables, figures, claims and provenance. Nothing here trains."""
