"""What happens to a submission on the student's machine: checks, rehearsal, zip. Part of the handout."""
