"""Runs of a study: participants in parallel, notebooks without anybody watching, pages at the end."""
