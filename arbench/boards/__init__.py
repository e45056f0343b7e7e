"""What stays on this machine: kept results, ranks, boards, their page."""
