"""What is known of trials: the journal, the store, their ledger, early stopping."""
