"""Lines of JSON for whoever started us."""

import json
import sys


def note(**line):
    # One write a line: several threads write.
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
