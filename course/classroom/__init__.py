"""Marking a class: every submission of a folder, several at once; a table, a CSV, a page for each student."""
