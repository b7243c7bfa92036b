"""The checks: each module asks one kind of question and answers with one or more verdicts."""
