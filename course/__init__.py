"""The assignment around the techniques: the student's handout, the submission, and its marking."""
