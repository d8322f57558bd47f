"""Exports journal entries as CloudEvents, from the archive: to an HTTP endpoint or to Kafka."""
