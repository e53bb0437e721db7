"""A page as a reader without a browser sees it."""

from html.parser import HTMLParser


class Outline(HTMLParser):
    """What a browser would make of the page: its elements, and its text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] not in (["script"], ["style"]):
            self.words.append(data)

    @property
    def lines(self) -> str:
        """Each piece of text on a line of its own."""
        return "\n".join(line for words in self.words if (line := " ".join(words.split())))

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())
