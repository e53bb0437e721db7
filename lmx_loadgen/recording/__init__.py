"""A pass-through on this machine that stores what an app and its server say to each other, to be sent again later."""
