"""What leaves the machine: cards, published numbers, later boards, zoo and Hub."""
