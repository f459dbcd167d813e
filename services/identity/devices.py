"""What a browser says it is, shortened to what its owner knows it by."""

# The first that is found counts: most browsers also claim to be those further down.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
)


def shortened(user_agent: str) -> str:
    """`Firefox on Linux`; never the header itself, which tells one person from another."""
    browser = first_of(BROWSERS, user_agent) or "Unknown browser"
    system = first_of(SYSTEMS, user_agent)
    return f"{browser} on {system}" if system else browser


def first_of(marks: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for mark, name in marks if mark in user_agent), "")
