"""From the bytes of an answer to what was said: SSE events, chat chunks, tool calls, error words, encodings."""
