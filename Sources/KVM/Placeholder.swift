// The module's first types follow in the next commits.
