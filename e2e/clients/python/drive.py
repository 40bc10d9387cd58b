"""Drives every operation of the contract with a client generated from it.

drive.py FOLDER CONTRACT, with what to drive in the environment variable LATCHKEY_DRIVE (JSON:
url, tokens of an Admin and of two people, the target's settings). It fails when an operation
answers a status that the contract does not list, a body that the generated models refuse, or an
error where the story expects success, and when an operation of the contract was never called.
"""

import copy
import datetime
import importlib
import json
import os
import pathlib
import re
import sys
import time

folder, contract = map(pathlib.Path, sys.argv[1:])
sys.path.insert(0, str(folder.parent))
generated = importlib.import_module(folder.name)
models = importlib.import_module(f"{folder.name}.models")
errors = (models.Error, models.UnauthorizedError)

given = json.loads(os.environ["LATCHKEY_DRIVE"])
operations = {
    operation["operationId"]: operation["tags"][0]
    for path in json.loads(contract.read_text())["paths"].values()
    for operation in path.values()
}
called = set()


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace(" ", "_").lower()


class Caller:
    """One person's token."""

    def __init__(self, token):
        self.client = generated.AuthenticatedClient(
            base_url=given["url"], token=token, raise_on_unexpected_status=True, timeout=30
        )

    def __call__(self, operation, *path, body=None, **query):
        module = importlib.import_module(
            f"{folder.name}.api.{snake(operations[operation])}.{snake(operation)}"
        )
        if body is not None:
            query["body"] = model_of(module, body)
        answer = module.sync_detailed(*path, client=self.client, **query)
        called.add(operation)
        assert not isinstance(answer.parsed, errors), f"{operation}: {answer.content}"
        if answer.status_code == 204:
            assert answer.content == b"", operation
            return None
        assert answer.headers["content-type"].startswith("application/json"), operation
        return plain(answer.parsed)

    def pages(self, operation, *path, limit=1, **query):
        """All items of a list, a page after the other, as old clients page: the filters go with
        the first call only."""
        items, pages = [], 0
        page = self(operation, *path, limit=limit, **query)
        while True:
            pages += 1
            items += page["items"]
            assert len(page["items"]) <= limit, operation
            token = page["pagination"].get("next_page_token")
            if not token:
                return items, pages
            # A client that pages like this sends the limit of its own default again.
            page = self(operation, *path, limit=limit, page_token=token)


def model_of(module, body):
    """The generated model of an operation's body, from plain members."""
    kind = module.sync_detailed.__annotations__["body"]
    body = copy.deepcopy(body)
    if isinstance(body, list):
        return [kind.__args__[0].from_dict(row) for row in body]
    return kind.from_dict(body)


def plain(value):
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


def until(what, look, seconds=60):
    """Asks until `look` finds something."""
    last = time.monotonic() + seconds
    while time.monotonic() < last:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not after {seconds} s")


def same(answer, sent):
    """What was sent comes back as it was sent."""
    for name, value in sent.items():
        if isinstance(value, dict) and isinstance(answer.get(name), dict):
            same(answer[name], value)
        else:
            assert answer.get(name) == value, (name, value, answer.get(name))


def crud(caller, kind, version, create, update, plural=None, message=False):
    """Create, read, list with paging, replace and delete in a group with a cursor."""
    made = caller(f"create{kind}{version}", body=create)
    other = caller(f"create{kind}{version}", body=dict(create, name=create["name"] + " two"))
    read = caller(f"get{kind}{version}", made["id"])
    assert read == made, (read, made)
    items, pages = caller.pages(f"list{plural or kind + 's'}{version}")
    assert pages >= 2 and {made["id"], other["id"]} <= {item["id"] for item in items}
    assert len({item["id"] for item in items}) == len(items)
    changed = caller(f"update{kind}{version}", made["id"], body=update)
    assert changed["name"] == update["name"]
    assert caller(f"get{kind}{version}", made["id"]) == changed
    gone = caller(f"delete{kind}{version}", other["id"])
    assert bool(gone) == message, gone
    return changed


admin, person, colleague = (Caller(given[name]) for name in ("admin", "person", "colleague"))


def connectors():
    found, pages = admin.pages("listConnectorsV3")
    assert pages >= 2
    assert {row["id"] for row in found} >= {given["connector"], given["spare_connector"]}
    live = admin("getConnectorV3", given["connector"])
    assert live["status"] == "CONNECTED" and live["sessions"]
    renamed = admin("updateConnectorV3", given["connector"], body={"name": "Main connector"})
    assert renamed["name"] == "Main connector" and renamed["id"] == given["connector"]
    assert given["connector"] in {row["connector_id"] for row in admin("listConnectorsV2")}
    admin("deleteConnectorV3", given["spare_connector"])


def integrations():
    shop = given["shop"]
    secret = {"apono": {"parameters": shop["secret"]}}
    body = {
        "name": "shop",
        "type": "postgresql",
        "connector_id": given["connector"],
        "integration_config": shop["config"],
        "secret_store_config": secret,
    }
    made = crud(
        admin, "Integration", "V4", body, dict(body, name="Shop database")
    )
    read = until(
        "discovery",
        lambda: (row := admin("getIntegrationV4", made["id"]))["status"] == "ACTIVE" and row,
    )
    same(read["integration_config"], shop["config"])
    assert read["category"] == "RESOURCES"
    assert [row["id"] for row in admin("listIntegrationsV4", name="*shop*")["items"]] == [made["id"]]

    catalog = admin("listIntegrationCatalogV2")["data"]
    assert "postgresql" in {row["type"] for row in catalog}
    entry = admin("getIntegrationCatalogEntryV2", "postgresql")
    assert entry["params"]
    old = admin(
        "createIntegrationV2",
        body={
            "name": "old shop",
            "type": "postgresql",
            "provisioner_id": given["connector"],
            "metadata": dict(shop["config"], secret_ref="env:SHOP"),
        },
    )
    assert old["provisioner_id"] == given["connector"]
    assert admin("getIntegrationV2", old["id"])["name"] == "old shop"
    assert len(admin("listIntegrationsV2")["data"]) == 2
    renamed = admin(
        "updateIntegrationV2",
        old["id"],
        body={
            "name": "older shop",
            "provisioner_id": given["connector"],
            "metadata": dict(shop["config"], secret_ref="env:SHOP"),
        },
    )
    assert renamed["name"] == "older shop"
    assert admin("deleteIntegrationV2", old["id"])["message"]
    admin("refreshIntegrationV2", made["id"])
    until("a refresh", lambda: admin("getIntegrationV4", made["id"])["status"] == "ACTIVE")

    kind = "postgresql-table"
    resources = admin("listIntegrationResourcesV3", made["id"], resource_type=kind)["data"]
    permissions = admin("listIntegrationPermissionsV3", made["id"], resource_type=kind)["data"]
    assert {row["name"] for row in permissions} >= {"READ_ONLY", "READ_WRITE"}
    table = next(row for row in resources if row["name"].endswith("orders"))
    tags = {"tags": {"team": "shop", "tier": "gold"}}
    admin("replaceResourceUserTagsV3", table["id"], body=tags)
    assert admin("getResourceUserTagsV3", table["id"])["tags"] == tags["tags"]
    return made["id"], table


def people():
    users, pages = admin.pages("listUsersV3")
    assert pages >= 3
    mine = next(user for user in users if user["email"] == given["person_email"])
    assert admin("getUserV3", mine["id"])["email"] == given["person_email"]
    assert admin("listUsersV3", first_name=mine["first_name"].upper())["items"][0]["id"] == mine["id"]
    assert mine["id"] in {row["id"] for row in admin("listUsersV2")["data"]}
    assert admin("getUserV2", given["person_email"])["id"] == mine["id"]
    assert admin("listIdentitiesV2")["data"]

    row = {"email": given["person_email"], "attributes": {"team": "payments"}}
    unknown = {"email": "nobody@example.com", "attributes": {"team": "none"}}
    outcome = admin("upsertIdentityAttributesV2", body=[row, unknown])
    assert (outcome["summary"]["succeeded"], outcome["summary"]["failed"]) == (1, 1)
    listed = admin("listIdentityAttributesV2", emails=[given["person_email"]])["data"]
    assert listed[0]["attributes"]["team"] == "payments"
    attributes, _ = admin.pages("listAttributesV1", search="*pay*")
    assert "payments" in {attribute["value"] for attribute in attributes}
    keys = {"email": given["person_email"], "attribute_types": ["team"]}
    assert admin("deleteIdentityAttributesV2", body=[keys])["summary"]["succeeded"] == 1

    group = admin("createGroupV1", body={"name": "Sellers", "members_emails": []})
    admin("createGroupV1", body={"name": "Buyers", "members_emails": [given["person_email"]]})
    assert admin("getGroupV1", group["id"]) == group
    assert admin.pages("listGroupsV1")[1] >= 2
    assert admin("renameGroupV1", group["id"], body={"name": "Vendors"})["name"] == "Vendors"
    for email in (given["person_email"], given["colleague_email"]):
        admin("addGroupMemberV1", group["id"], email)
        admin("addGroupMemberV1", group["id"], email)
    members, pages = admin.pages("listGroupMembersV1", group["id"])
    assert pages >= 2 and len(members) == 2
    admin("removeGroupMemberV1", group["id"], given["colleague_email"])
    only = {"members_emails": [given["colleague_email"]]}
    admin("replaceGroupMembersV1", group["id"], body=only)
    members, _ = admin.pages("listGroupMembersV1", group["id"])
    assert [member["email"] for member in members] == [given["colleague_email"]]
    admin("deleteGroupV1", group["id"])
    return mine


def selections(integration):
    query = ' resource_type = "postgresql-table"\n  and permission_name = "READ_ONLY"\n'
    scope = crud(
        admin,
        "AccessScope",
        "V1",
        {"name": "Readable tables", "description": "for reports", "query": query},
        {"name": "Tables to read", "query": query},
    )
    assert scope["query"] == query
    target = {
        "integration_reference": integration,
        "resource_type": "postgresql-table",
        "permissions": ["READ_ONLY"],
        "resources_scopes": [
            {"scope_mode": "include_resources", "type": "NAME", "key": None, "values": ["orders"]}
        ],
    }
    items = [{"integration": target}, {"access_scope": {"access_scope_reference": scope["name"]}}]
    bundle = crud(
        admin,
        "Bundle",
        "V2",
        {"name": "Reading", "access_targets": items},
        {"name": "Reading tables", "access_targets": items[:1]},
    )
    old_target = {
        "integration_id": integration,
        "resource_type": "postgresql-table",
        "resource_tag_includes": [{"name": "team", "value": "shop"}],
        "resource_tag_excludes": [],
        "permissions": ["READ_ONLY"],
    }
    old = admin(
        "createAccessBundleV1", body={"name": "Old reading", "integration_targets": [old_target]}
    )
    assert admin("getAccessBundleV1", old["id"])["integration_targets"] == [old_target]
    assert old["id"] in {row["id"] for row in admin("listAccessBundlesV1")["data"]}
    kept = admin("patchAccessBundleV1", old["id"], body={"name": "Older reading"})
    assert kept["name"] == "Older reading" and kept["integration_targets"] == [old_target]
    assert admin("deleteAccessBundleV1", old["id"])["message"]
    return target, bundle, old_target


def flows(target, bundle, old_target, mine):
    everybody = {
        "logical_operator": "OR",
        "conditions": [{"type": "user", "match_operator": "contains", "values": ["example.com"]}],
    }
    body = {
        "name": "tables",
        "description": "reading for everybody",
        "active": True,
        "trigger": "SELF_SERVE",
        "requestors": everybody,
        "request_for_others": False,
        "request_for": {"request_scopes": ["self", "others"], "grantees": everybody},
        "access_targets": [
            {"integration": dict(target, resources_scopes=None)},
            {"bundle": {"bundle_reference": bundle["id"]}},
        ],
        "grant_duration_in_min": 60,
        "settings": {
            "justification_required": False,
            "require_approver_reason": False,
            "requestor_cannot_approve_himself": False,
            "require_mfa": False,
            "labels": ["everyday"],
        },
    }
    flow = crud(admin, "AccessFlow", "V2", body, dict(body, name="tables for all"))
    for block in ("timeframe", "approver_policy", "escalation_policy"):
        assert flow.get(block) is None, block
    assert [row["values"] for row in flow["requestors"]["conditions"]] == [["example.com"]]

    old = {
        "name": "old tables",
        "active": False,
        "trigger": {"type": "user_request"},
        "grantees": [{"id": mine["id"], "type": "user"}],
        "integration_targets": [old_target],
        "bundle_targets": [{"bundle_id": bundle["id"]}],
        "approvers": [{"id": mine["id"], "type": "user"}],
        "revoke_after_in_sec": 3600,
    }
    made = admin("createAccessFlowV1", body=old)
    assert admin("getAccessFlowV1", made["id"])["grantees"] == old["grantees"]
    assert {made["id"], flow["id"]} <= {row["id"] for row in admin("listAccessFlowsV1")["data"]}
    kept = admin("patchAccessFlowV1", made["id"], body={"name": "older tables"})
    assert kept["integration_targets"] == [old_target] and kept["revoke_after_in_sec"] == 3600
    assert admin("deleteAccessFlowV1", made["id"])["message"]
    return flow


def reports():
    body = {
        "name": "last month",
        "fields": ["request_id", "requestor_email", "status"],
        "filters": {"statuses": ["Active"]},
        "timeframe": {"relative": {"last": 1, "unit": "month", "rounded": True}},
        "schedule": {"cron_expression": "0 7 * * MON", "recipients": ["audit@example.com"]},
        "format": "csv",
    }
    report = crud(
        admin, "ActivityReport", "V1", body, dict(body, name="the month"), message=True
    )
    assert report["schedule"]["cron_expression"] == "0 7 * * MON"
    admin("deleteActivityReportV1", report["id"])


def wait_for(caller, request, state):
    return until(
        f"{request} {state}",
        lambda: (row := caller("getAccessRequestV4", request))["status"].upper() == state and row,
    )


def access(bundle, table):
    bundles = person("listAvailableBundlesV1")["items"]
    assert bundle["id"] in {row["id"] for row in bundles}
    rows, pages = person.pages("listAvailableEntitlementsV1", limit=4)
    assert pages >= 2
    row = next(row for row in rows if row["resource"]["id"] == table["id"])
    wanted = {"resource_id": row["resource"]["id"], "permission_id": row["permission"]["id"]}
    body = {
        "entitlements": [wanted],
        "justification": "a look at the orders",
        "duration_in_sec": 1800,
        "custom_fields": {"ticket": "OPS-1"},
    }
    [request] = person("createAccessRequestV4", body=body)
    assert request["custom_fields"] == {"ticket": "OPS-1"}
    wait_for(person, request["id"], "ACTIVE")
    units, _ = person.pages("listAccessRequestEntitlementsV4", request["id"])
    assert [unit["resource"]["id"] for unit in units] == [table["id"]]

    sessions = person("listAccessSessionsV1", request_ids=[request["id"]])["items"]
    session = person("getAccessSessionV1", sessions[0]["id"])
    assert session["request_ids"] == [request["id"]]
    details = person("getAccessSessionDetailsV1", session["id"])
    assert details["parameters"]["username"] and details["parameters"]["password"]
    if session["can_reset_credentials"]:
        person("resetAccessSessionCredentialsV1", session["id"])
        until(
            "new credentials",
            lambda: person("getAccessSessionV1", session["id"])["credentials_status"] == "AVAILABLE",
        )
    person("revokeAccessRequestV4", request["id"])
    wait_for(person, request["id"], "REVOKED")
    [again] = person(
        "requestAccessAgainV4", request["id"], body={"justification": "once more", "custom_fields": {}}
    )
    listed, pages = person.pages("listAccessRequestsV4")
    assert pages >= 2 and {request["id"], again["id"]} <= {row["id"] for row in listed}
    wait_for(person, again["id"], "ACTIVE")
    person("revokeAccessRequestV4", again["id"])
    wait_for(person, again["id"], "REVOKED")

    [by_bundle] = person(
        "createAccessRequestV4", body={"bundle_reference": bundle["name"], "justification": "reading"}
    )
    assert by_bundle["bundle"]["id"] == bundle["id"]
    wait_for(person, by_bundle["id"], "ACTIVE")
    person("revokeAccessRequestV4", by_bundle["id"])

    for_other = dict(body, grantee=given["colleague_email"])
    [delegated] = person("createAccessRequestV4", body=for_other)
    read = person("getDelegatedAccessRequestV1", delegated["id"])
    assert read["grantee"]["source_id"] or read["grantee"]["id"]
    assert delegated["id"] in {
        row["id"] for row in person.pages("listDelegatedAccessRequestsV1")[0]
    }
    wait_for(colleague, delegated["id"], "ACTIVE")
    person("revokeAccessRequestV4", delegated["id"])
    wait_for(colleague, delegated["id"], "REVOKED")


def old_access(integration, table, mine):
    on_behalf = {"user_id": mine["id"]}
    chosen = admin("listSelectableIntegrationsV3", **on_behalf)["data"]
    assert integration in {row["id"] for row in chosen}
    kinds = admin("listSelectableResourceTypesV3", integration, **on_behalf)["data"]
    assert "postgresql-table" in {row["id"] for row in kinds}
    place = (integration, "postgresql-table")
    assert "READ_ONLY" in admin("listSelectablePermissionsV3", *place, **on_behalf)["data"]
    resources = admin("listSelectableResourcesV3", *place, **on_behalf)["data"]
    assert table["id"] in {row["id"] for row in resources}
    request = admin(
        "createAccessRequestV3",
        body={
            "user_id": mine["id"],
            "integration_id": integration,
            "resource_ids": [table["id"]],
            "permissions": ["READ_ONLY"],
            "justification": "asked for a colleague",
            "duration_in_sec": 1800,
        },
    )
    identity = request["request_id"]

    def state(wanted):
        return until(wanted, lambda: admin("getAccessRequestV3", identity)["status"] == wanted)

    state("GRANTED")
    listed = admin("listAccessRequestsV3", user_id=mine["id"], days_offset=1)["data"]
    assert identity in {row["request_id"] for row in listed}
    assert admin("getAccessRequestDetailsV3", identity)["details"]
    admin("resetAccessRequestCredentialsV3", identity)
    admin("bulkRevokeAccessRequestsV3", body={"request_ids": [identity]})
    state("EXPIRED")

    now = datetime.datetime.now(datetime.timezone.utc)
    start = int((now - datetime.timedelta(days=1)).timestamp())
    lines = admin(
        "listActivityV3",
        start_date=start,
        end_date=int(now.timestamp()) + 60,
        filterintegration_id=[integration],
    )["data"]
    assert any(line["request_id"] for line in lines)


connectors()
integration, table = integrations()
mine = people()
target, bundle, old_target = selections(integration)
flow = flows(target, bundle, old_target, mine)
reports()
access(bundle, table)
old_access(integration, table, mine)
admin("deleteAccessFlowV2", flow["id"])
until("everything ended", lambda: not person("listAccessSessionsV1")["items"])
admin("deleteBundleV2", bundle["id"])
admin("deleteIntegrationV4", integration)

missed = sorted(set(operations) - called)
assert not missed, f"never called: {missed}"
print(f"{len(called)} of {len(operations)} operations driven with the generated Python client")
