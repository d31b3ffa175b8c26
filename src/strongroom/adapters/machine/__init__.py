"""What the machine gives: one lock a vault, held by the kernel."""
