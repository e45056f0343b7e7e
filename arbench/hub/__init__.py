"""What leaves this machine and comes to it: the Hub, model cards, pushed runs and boards."""
