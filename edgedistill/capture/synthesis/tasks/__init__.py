"""The tasks that data is made for, one TOML file each: prompts, fields, subjects."""
