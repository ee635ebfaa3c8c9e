"""Writers: output rows as files, streamed and resumable."""
