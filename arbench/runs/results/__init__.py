"""Results of any measurement: compared, and measured again."""
