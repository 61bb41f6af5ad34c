"""The feeder of the embedded broker: a process of its own that publishes an archive into a fresh topic.

python -m reactor.feed.feeder ARCHIVE BOOTSTRAP TOPIC PACE PACED_FROM
"""

import sys
from pathlib import Path

from reactor.feed.publish import fill
from reactor.log.connection import plain
from reactor.log.outlet import KafkaWriter


def main(archive: str, bootstrap: str, topic: str, pace: str, paced_from: str) -> None:
    """Publish every line; the process ends when the broker has them all.

    pace: seconds of event time a second, or inf. paced_from: lines before this one are published at once.
    """
    writer = KafkaWriter(plain(bootstrap), topic, f"{topic}-feed")
    fill(Path(archive), writer, [0], pace=float(pace), paced_from=int(paced_from))


if __name__ == "__main__":
    main(*sys.argv[1:])
