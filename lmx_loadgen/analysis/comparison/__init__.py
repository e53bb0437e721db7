"""Which of two targets is faster: blocks, the audit of same work, verdicts, gates and sentences."""
