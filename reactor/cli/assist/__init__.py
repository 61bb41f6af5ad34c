"""What an assistant may ask of a journal, over the Model Context Protocol; none of it writes."""
