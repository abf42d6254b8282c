int Nothing() { return 0; }
