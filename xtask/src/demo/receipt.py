# Prints the receipt of a request from Latchkey's database file, which is opened for reading only.
import glob
import json
import sqlite3
import sys

folder, request = sys.argv[1:]
for file in glob.glob(folder + "/*.db") + glob.glob(folder + "/*.sqlite"):
    database = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    rows = database.execute(
        "SELECT receipt FROM receipts WHERE request_id = ? ORDER BY at DESC LIMIT 1", (request,)
    ).fetchall()
    for (receipt,) in rows:
        print(json.dumps(json.loads(receipt), indent=2))
        sys.exit(0)
sys.exit("request " + request + " has no receipt in " + folder)
