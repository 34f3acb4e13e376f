"""The write-up: hw3_writeup.pdf from report/answers.md, the figures and the notebook. Part of the handout."""
