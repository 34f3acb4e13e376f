"""Marking: runs a submission where it can do no harm, compares what it computed with references, teaches."""
