"""The checks that a student gets. Each fails until its part is written."""
