# Copies the rows of one live grant to `count` other people: new ids, everything else the same.
import sqlite3
import sys

file, request, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
db = sqlite3.connect(file)
db.row_factory = sqlite3.Row


def one(sql, *values):
    return dict(db.execute(sql, values).fetchone())


request_row = one("SELECT * FROM requests WHERE id = ?", request)
unit = one("SELECT * FROM request_units WHERE request_id = ?", request)
session = one("SELECT * FROM access_sessions WHERE id = ?", unit["session_id"])
user = one("SELECT * FROM users WHERE id = ?", request_row["grantee_id"])
jobs = [
    dict(row)
    for row in db.execute("SELECT * FROM jobs")
    if request in (row["dedupe_key"] or "") + row["payload"]
]


def put(table, row):
    names = ", ".join(row)
    marks = ", ".join("?" for _ in row)
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))


number = db.execute("SELECT max(number) FROM requests").fetchone()[0]
for n in range(1, count):
    new = lambda text: f"{text[:-7]}{n:07d}"
    who, what, whose = new(user["id"]), new(request), new(session["id"])
    email = f"live{n}@example.com"
    put("users", user | {"id": who, "email": email, "email_lower": email})
    put("user_emails", {"email": email, "user_id": who})
    put("requests", request_row | {
        "id": what, "number": number + n, "requestor_id": who, "grantee_id": who})
    put("access_sessions", session | {
        "id": whose, "grantee_id": who, "principal": f"lk_u_live{n}_1"})
    put("grantee_locks", {
        "integration_id": session["integration_id"], "grantee_id": who, "generation": 1})
    put("request_units", unit | {
        "id": new(unit["id"]), "request_id": what, "session_id": whose})
    for i, job in enumerate(jobs):
        put("jobs", job | {
            "id": f"{job['id'][:-9]}{i:02d}{n:07d}",
            "dedupe_key": job["dedupe_key"] and job["dedupe_key"].replace(request, what),
            "payload": job["payload"].replace(request, what)})
db.execute("UPDATE counters SET value = value + ? WHERE name LIKE '%request%'", [count])
db.commit()
