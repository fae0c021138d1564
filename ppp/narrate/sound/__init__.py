"""The sound of episodes: spoken forms, timing, transcript and chapters, the ident, the cover, and the programs used."""
