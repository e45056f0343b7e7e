"""Results of any measurement: held to their values, compared, measured again."""
