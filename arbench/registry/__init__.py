"""Who offers what: the plugin hooks, the entries they register and the manager that collects them."""
