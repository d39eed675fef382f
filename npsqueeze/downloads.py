"""Downloads, verified by their checksum."""

from pathlib import Path


def download(url: str, checksum: str, folder: str | Path) -> Path:
    """Fetch a file into a folder, with a progress bar, and return its path.

    Parameters
    ----------
    url : str
    checksum : str
        Such as "sha256:e4ab…".
    folder : path

    Raises
    ------
    OSError
        If there is no connection, or it is cut off.
    ValueError
        If the file has another checksum.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")  # the progress bar says it all
    downloader = pooch.HTTPDownloader(progressbar=True)
    return Path(pooch.retrieve(url, checksum, "download", folder, downloader=downloader))
