"""Exact data that specifications are made of: entrywise maps, number formats, laws, spectra, schedules, expressions."""
