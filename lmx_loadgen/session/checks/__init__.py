"""Can the model do it at all? What a target is asked beside the load: tool calls, skills, its own benchmark."""
