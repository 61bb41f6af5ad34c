"""Statements of a login of the embedded engine: python rights.py PATH, in a folder whose config.xml names its rights.

Reads a JSON list of statements from standard input; gives a list of the codes of their errors, 0 where one went well.
"""

import json
import re
import sys

import chdb


def main():
    connection = chdb.connect(sys.argv[1])
    codes = []
    for statement in json.load(sys.stdin):
        try:
            connection.query(statement)
        except RuntimeError as error:
            found = re.search(r"Code: (\d+)", str(error))
            codes.append([int(found[1]) if found else -1, str(error)[:300]])
        else:
            codes.append([0, ""])
    connection.close()
    print(json.dumps(codes))


main()
