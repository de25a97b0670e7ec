// What the sanitizers cannot find out by themselves; there is nothing to call.
