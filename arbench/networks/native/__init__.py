"""Parts of native steps that several networks share; a plugin may use them or not."""
