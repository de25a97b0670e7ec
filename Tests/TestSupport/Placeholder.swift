// The shared fakes follow in the next commits.
