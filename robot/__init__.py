"""What is true of any arm, and the agent that runs one."""
