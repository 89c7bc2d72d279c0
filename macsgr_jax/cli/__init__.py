"""The command `macsgr`: one module per subcommand."""
