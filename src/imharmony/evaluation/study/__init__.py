"""A blind study: votes of people, and what follows from them."""
