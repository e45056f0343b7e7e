"""Who offers what: plugin hooks, the entries they register, the manager that collects them."""
