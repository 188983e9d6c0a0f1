"""The whole way in one command: a job that launches the other rooms' jobs in order and tells what they made."""
