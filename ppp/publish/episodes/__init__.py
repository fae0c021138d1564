"""Episodes as they are published: their content, their document, and which of them a build writes."""
