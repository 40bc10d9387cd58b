// Drives every operation of the contract with a client generated from it. What to drive is in the
// environment variable LATCHKEY_DRIVE (JSON: url, tokens of an Admin and of two people, the
// target's settings). It fails when an answer has another shape than the contract says, when an
// operation fails where the story expects success, and when one was never called.

import assert from "node:assert/strict";
import * as sdk from "./client/sdk.gen";
import { createClient, type Client } from "./client/client";
import type * as t from "./client/types.gen";

interface Given {
  url: string;
  admin: string;
  person: string;
  colleague: string;
  person_email: string;
  colleague_email: string;
  connector: string;
  spare_connector: string;
  shop: { config: Record<string, string>; secret: Record<string, string> };
}

const given: Given = JSON.parse(process.env.LATCHKEY_DRIVE ?? "{}");
const called = new Set<string>();

/** A generated operation; notes that it was called. */
type Operation = (options: any) => any;
const operations = Object.fromEntries(
  Object.entries(sdk as Record<string, Operation>).map(([name, operation]) => [
    name,
    (options: any) => {
      called.add(name);
      return operation({ ...options, throwOnError: true });
    },
  ]),
) as unknown as typeof sdk;

/** One person's client. */
function caller(token: string): { client: Client } {
  return { client: createClient({ baseUrl: given.url, auth: token }) };
}

const admin = caller(given.admin);
const person = caller(given.person);
const colleague = caller(given.colleague);

/** What an operation answers when it succeeds. */
async function ok<T>(answer: PromiseLike<{ data?: T; response: Response }>): Promise<NonNullable<T>> {
  const { data, response } = await answer;
  assert.ok(response.ok, `${response.url}: ${response.status}`);
  return data as NonNullable<T>;
}

/** A deletion without a body. */
async function gone(answer: PromiseLike<{ response: Response }>): Promise<void> {
  assert.equal((await answer).response.status, 204);
}

interface Page<Item> {
  items: Item[];
  pagination: { next_page_token?: string | null };
}

/** All items of a list, a page after the other; the filters go with the first call only. */
async function pages<Item>(
  limit: number,
  list: (query: { limit: number; page_token?: string }) => Promise<Page<Item>>,
): Promise<{ items: Item[]; count: number }> {
  const items: Item[] = [];
  let count = 0;
  let token: string | undefined;
  do {
    const page = await list({ limit, ...(token ? { page_token: token } : {}) });
    assert.ok(page.items.length <= limit);
    items.push(...page.items);
    count += 1;
    token = page.pagination.next_page_token || undefined;
  } while (token);
  return { items, count };
}

/** Asks until `look` finds something. */
async function until<T>(what: string, look: () => Promise<T | false | undefined>): Promise<T> {
  const last = Date.now() + 60_000;
  while (Date.now() < last) {
    const found = await look();
    if (found) return found;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  throw new Error(`${what}: not within a minute`);
}

const path = (id: string) => ({ path: { id } });
const ids = (rows: { id: string }[]) => new Set(rows.map((row) => row.id));

async function connectors() {
  const { items, count } = await pages(1, (query) => ok(operations.listConnectorsV3({ ...admin, query })));
  assert.ok(count >= 2 && ids(items).has(given.spare_connector));
  const live = await ok(operations.getConnectorV3({ ...admin, ...path(given.connector) }));
  assert.equal(live.status, "CONNECTED");
  const body = { name: "The connector" };
  const renamed = await ok(operations.updateConnectorV3({ ...admin, ...path(given.connector), body }));
  assert.deepEqual([renamed.id, renamed.name], [given.connector, body.name]);
  const old = await ok(operations.listConnectorsV2({ ...admin }));
  assert.ok(old.some((row) => row.connector_id === given.connector));
  await gone(operations.deleteConnectorV3({ ...admin, ...path(given.spare_connector) }));
}

async function integrations() {
  const body: t.IntegrationCreateV4 = {
    name: "shop",
    type: "postgresql",
    connector_id: given.connector,
    integration_config: given.shop.config,
    secret_store_config: { apono: { parameters: given.shop.secret } },
  };
  const made = await ok(operations.createIntegrationV4({ ...admin, body }));
  assert.deepEqual(made.integration_config, given.shop.config);
  const other = await ok(operations.createIntegrationV4({ ...admin, body: { ...body, name: "twin" } }));
  const { items, count } = await pages(1, (query) => ok(operations.listIntegrationsV4({ ...admin, query })));
  assert.ok(count >= 2 && ids(items).has(made.id));
  const update = { ...body, name: "Shop database" };
  await ok(operations.updateIntegrationV4({ ...admin, ...path(made.id), body: update }));
  await gone(operations.deleteIntegrationV4({ ...admin, ...path(other.id) }));
  const active = async () => {
    const row = await ok(operations.getIntegrationV4({ ...admin, ...path(made.id) }));
    return row.status === "ACTIVE" && row;
  };
  assert.equal((await until("discovery", active)).name, update.name);

  const catalog = await ok(operations.listIntegrationCatalogV2({ ...admin }));
  assert.ok(catalog.data.some((row) => row.type === "postgresql"));
  await ok(operations.getIntegrationCatalogEntryV2({ ...admin, path: { type: "postgresql" } }));
  const legacy: t.IntegrationCreateV2 = {
    name: "old shop",
    type: "postgresql",
    provisioner_id: given.connector,
    metadata: { ...given.shop.config, secret_ref: "env:SHOP" },
  };
  const old = await ok(operations.createIntegrationV2({ ...admin, body: legacy }));
  assert.equal((await ok(operations.getIntegrationV2({ ...admin, ...path(old.id) }))).name, "old shop");
  assert.ok(ids((await ok(operations.listIntegrationsV2({ ...admin }))).data).has(old.id));
  const rename = { ...legacy, name: "older shop" };
  await ok(operations.updateIntegrationV2({ ...admin, ...path(old.id), body: rename }));
  assert.ok((await ok(operations.deleteIntegrationV2({ ...admin, ...path(old.id) }))).message);
  await ok(operations.refreshIntegrationV2({ ...admin, ...path(made.id) }));
  await until("a refresh", active);

  const query = { "resource-type": "postgresql-table" };
  const resources = await ok(operations.listIntegrationResourcesV3({ ...admin, ...path(made.id), query }));
  const permissions = await ok(operations.listIntegrationPermissionsV3({ ...admin, ...path(made.id), query }));
  assert.ok(permissions.data.some((row) => row.name === "READ_ONLY"));
  const table = resources.data.find((row) => row.name.endsWith("orders"));
  assert.ok(table);
  const place = { path: { resource_id: table.id } };
  const tags = { tags: { team: "shop" } };
  await ok(operations.replaceResourceUserTagsV3({ ...admin, ...place, body: tags }));
  assert.deepEqual((await ok(operations.getResourceUserTagsV3({ ...admin, ...place }))).tags, tags.tags);
  return { integration: made.id, table: table.id };
}

async function people() {
  const { items, count } = await pages(1, (query) => ok(operations.listUsersV3({ ...admin, query })));
  assert.ok(count >= 3);
  const mine = items.find((user) => user.email === given.person_email);
  assert.ok(mine);
  assert.deepEqual(await ok(operations.getUserV3({ ...admin, ...path(mine.id) })), mine);
  assert.ok(ids((await ok(operations.listUsersV2({ ...admin }))).data).has(mine.id));
  assert.equal((await ok(operations.getUserV2({ ...admin, ...path(given.person_email) }))).id, mine.id);
  assert.ok((await ok(operations.listIdentitiesV2({ ...admin }))).data.length > 0);

  const rows = [{ email: given.person_email, attributes: { team: "payments" } }];
  const outcome = await ok(operations.upsertIdentityAttributesV2({ ...admin, body: rows }));
  assert.equal(outcome.summary.succeeded, 1);
  const emails = { query: { emails: [given.person_email] } };
  const listed = await ok(operations.listIdentityAttributesV2({ ...admin, ...emails }));
  assert.equal(listed.data[0]?.attributes.team, "payments");
  const found = await pages(1, (query) =>
    ok(operations.listAttributesV1({ ...admin, query: query.page_token ? query : { ...query, search: "*pay*" } })),
  );
  assert.ok(found.items.some((attribute) => attribute.value === "payments"));
  const keys = [{ email: given.person_email, attribute_types: ["team"] }];
  await ok(operations.deleteIdentityAttributesV2({ ...admin, body: keys }));

  const body = { name: "Sellers", members_emails: [] };
  const group = await ok(operations.createGroupV1({ ...admin, body }));
  await ok(operations.createGroupV1({ ...admin, body: { name: "Buyers", members_emails: [given.person_email] } }));
  assert.deepEqual(await ok(operations.getGroupV1({ ...admin, ...path(group.id) })), group);
  assert.ok((await pages(1, (query) => ok(operations.listGroupsV1({ ...admin, query })))).count >= 2);
  await ok(operations.renameGroupV1({ ...admin, ...path(group.id), body: { name: "Vendors" } }));
  for (const email of [given.person_email, given.colleague_email]) {
    await gone(operations.addGroupMemberV1({ ...admin, path: { id: group.id, email } }));
  }
  const members = () =>
    pages(1, (query) => ok(operations.listGroupMembersV1({ ...admin, ...path(group.id), query })));
  assert.equal((await members()).count, 2);
  await gone(operations.removeGroupMemberV1({ ...admin, path: { id: group.id, email: given.colleague_email } }));
  const only = { members_emails: [given.colleague_email] };
  await gone(operations.replaceGroupMembersV1({ ...admin, ...path(group.id), body: only }));
  assert.deepEqual((await members()).items, [{ email: given.colleague_email }]);
  await gone(operations.deleteGroupV1({ ...admin, ...path(group.id) }));
  return mine.id;
}

async function selections(integration: string) {
  const query = ' resource_type = "postgresql-table"\n  and permission_name = "READ_ONLY"\n';
  const body = { name: "Readable tables", query };
  const scope = await ok(operations.createAccessScopeV1({ ...admin, body }));
  const twin = await ok(operations.createAccessScopeV1({ ...admin, body: { ...body, name: "Twin" } }));
  const update = { ...body, name: "Tables to read" };
  await ok(operations.updateAccessScopeV1({ ...admin, ...path(scope.id), body: update }));
  const read = await ok(operations.getAccessScopeV1({ ...admin, ...path(scope.id) }));
  assert.deepEqual([read.name, read.query], [update.name, query]);
  assert.ok((await pages(1, (query) => ok(operations.listAccessScopesV1({ ...admin, query })))).count >= 2);
  await gone(operations.deleteAccessScopeV1({ ...admin, ...path(twin.id) }));

  const target: t.IntegrationTargetInputV2 = {
    integration_reference: integration,
    resource_type: "postgresql-table",
    permissions: ["READ_ONLY"],
  };
  const items: t.BundleItemInputV2[] = [
    { integration: target },
    { access_scope: { access_scope_reference: update.name } },
  ];
  const bundle = await ok(operations.createBundleV2({ ...admin, body: { name: "Reading", access_targets: items } }));
  const other = await ok(operations.createBundleV2({ ...admin, body: { name: "Other", access_targets: items } }));
  const fewer = { name: "Reading tables", access_targets: items.slice(0, 1) };
  await ok(operations.updateBundleV2({ ...admin, ...path(bundle.id), body: fewer }));
  assert.equal((await ok(operations.getBundleV2({ ...admin, ...path(bundle.id) }))).access_targets.length, 1);
  assert.ok((await pages(1, (query) => ok(operations.listBundlesV2({ ...admin, query })))).count >= 2);
  await gone(operations.deleteBundleV2({ ...admin, ...path(other.id) }));

  const oldTarget: t.IntegrationTargetV1 = {
    integration_id: integration,
    resource_type: "postgresql-table",
    resource_tag_includes: [{ name: "team", value: "shop" }],
    resource_tag_excludes: [],
    permissions: ["READ_ONLY"],
  };
  const old = await ok(
    operations.createAccessBundleV1({ ...admin, body: { name: "Old reading", integration_targets: [oldTarget] } }),
  );
  await ok(operations.patchAccessBundleV1({ ...admin, ...path(old.id), body: { name: "Older reading" } }));
  const kept = await ok(operations.getAccessBundleV1({ ...admin, ...path(old.id) }));
  assert.deepEqual(kept, { id: old.id, name: "Older reading", integration_targets: [oldTarget] });
  assert.ok(ids((await ok(operations.listAccessBundlesV1({ ...admin }))).data).has(old.id));
  assert.ok((await ok(operations.deleteAccessBundleV1({ ...admin, ...path(old.id) }))).message);
  return { target, bundle: fewer.name, bundleId: bundle.id, oldTarget };
}

async function flows(
  { target, bundleId, oldTarget }: Awaited<ReturnType<typeof selections>>,
  mine: string,
) {
  const everybody: t.ConditionSetInputV2 = {
    logical_operator: "OR",
    conditions: [{ type: "user", match_operator: "contains", values: ["example.com"] }],
  };
  const body: t.AccessFlowInputV2 = {
    name: "tables",
    active: true,
    trigger: "SELF_SERVE",
    requestors: everybody,
    request_for_others: false,
    request_for: { request_scopes: ["self", "others"], grantees: everybody },
    access_targets: [{ integration: target }, { bundle: { bundle_reference: bundleId } }],
    grant_duration_in_min: 60,
    settings: {
      justification_required: false,
      require_approver_reason: false,
      requestor_cannot_approve_himself: false,
      require_mfa: false,
      labels: [],
    },
  };
  const flow = await ok(operations.createAccessFlowV2({ ...admin, body }));
  const twin = await ok(operations.createAccessFlowV2({ ...admin, body: { ...body, name: "twin" } }));
  await ok(operations.updateAccessFlowV2({ ...admin, ...path(flow.id), body: { ...body, name: "all tables" } }));
  const read = await ok(operations.getAccessFlowV2({ ...admin, ...path(flow.id) }));
  assert.equal(read.name, "all tables");
  assert.ok((await pages(1, (query) => ok(operations.listAccessFlowsV2({ ...admin, query })))).count >= 2);
  await gone(operations.deleteAccessFlowV2({ ...admin, ...path(twin.id) }));

  const old: t.AccessFlowCreateV1 = {
    name: "old tables",
    active: false,
    trigger: { type: "user_request" },
    grantees: [{ id: mine, type: "user" }],
    integration_targets: [oldTarget],
    bundle_targets: [{ bundle_id: bundleId }],
    revoke_after_in_sec: 3600,
  };
  const made = await ok(operations.createAccessFlowV1({ ...admin, body: old }));
  await ok(operations.patchAccessFlowV1({ ...admin, ...path(made.id), body: { name: "older tables" } }));
  const kept = await ok(operations.getAccessFlowV1({ ...admin, ...path(made.id) }));
  assert.deepEqual([kept.name, kept.revoke_after_in_sec], ["older tables", 3600]);
  assert.ok(ids((await ok(operations.listAccessFlowsV1({ ...admin }))).data).has(made.id));
  assert.ok((await ok(operations.deleteAccessFlowV1({ ...admin, ...path(made.id) }))).message);
  return flow.id;
}

async function reports() {
  const body: t.ActivityReportInput = {
    name: "last month",
    filters: {},
    timeframe: { relative: { last: 1, unit: "month" } },
    format: "pdf",
  };
  const made = await ok(operations.createActivityReportV1({ ...admin, body }));
  await ok(operations.createActivityReportV1({ ...admin, body: { ...body, name: "twin" } }));
  await ok(operations.updateActivityReportV1({ ...admin, ...path(made.id), body: { ...body, name: "month" } }));
  assert.equal((await ok(operations.getActivityReportV1({ ...admin, ...path(made.id) }))).name, "month");
  assert.ok((await pages(1, (query) => ok(operations.listActivityReportsV1({ ...admin, query })))).count >= 2);
  assert.ok((await ok(operations.deleteActivityReportV1({ ...admin, ...path(made.id) }))).message);
}

function state(who: { client: Client }, id: string, wanted: string) {
  return until(`${id} ${wanted}`, async () => {
    const row = await ok(operations.getAccessRequestV4({ ...who, ...path(id) }));
    return row.status.toUpperCase() === wanted;
  });
}

async function access(bundle: string, table: string) {
  const bundles = await ok(operations.listAvailableBundlesV1({ ...person }));
  assert.ok(bundles.items.some((row) => row.name === bundle));
  const rows = await pages(4, (query) => ok(operations.listAvailableEntitlementsV1({ ...person, query })));
  const row = rows.items.find((item) => item.resource.id === table);
  assert.ok(row && rows.count >= 2);
  const entitlements = [{ resource_id: row.resource.id, permission_id: row.permission.id }];
  const body: t.AccessRequestCreateV4 = { entitlements, justification: "a look", duration_in_sec: 1800 };
  const [request] = await ok(operations.createAccessRequestV4({ ...person, body }));
  assert.ok(request);
  await state(person, request.id, "ACTIVE");
  const units = await pages(1, (query) =>
    ok(operations.listAccessRequestEntitlementsV4({ ...person, ...path(request.id), query })),
  );
  assert.equal(units.items[0]?.resource.id, table);
  const query = { request_ids: [request.id] };
  const sessions = await ok(operations.listAccessSessionsV1({ ...person, query }));
  const session = sessions.items[0];
  assert.ok(session);
  await ok(operations.getAccessSessionV1({ ...person, ...path(session.id) }));
  const details = await ok(operations.getAccessSessionDetailsV1({ ...person, ...path(session.id) }));
  assert.ok(details.parameters?.password);
  await ok(operations.resetAccessSessionCredentialsV1({ ...person, ...path(session.id) }));
  await until("new credentials", async () => {
    const read = await ok(operations.getAccessSessionV1({ ...person, ...path(session.id) }));
    return read.credentials_status === "AVAILABLE";
  });
  await ok(operations.revokeAccessRequestV4({ ...person, ...path(request.id) }));
  await state(person, request.id, "REVOKED");
  const again = await ok(
    operations.requestAccessAgainV4({ ...person, ...path(request.id), body: { custom_fields: {} } }),
  );
  assert.ok(again[0]);
  assert.ok((await pages(1, (query) => ok(operations.listAccessRequestsV4({ ...person, query })))).count >= 2);
  await ok(operations.revokeAccessRequestV4({ ...person, ...path(again[0].id) }));
  await state(person, again[0].id, "REVOKED");

  const [delegated] = await ok(
    operations.createAccessRequestV4({ ...person, body: { ...body, grantee: given.colleague_email } }),
  );
  assert.ok(delegated);
  await ok(operations.getDelegatedAccessRequestV1({ ...person, ...path(delegated.id) }));
  const others = await ok(operations.listDelegatedAccessRequestsV1({ ...person }));
  assert.ok(ids(others.items).has(delegated.id));
  await state(colleague, delegated.id, "ACTIVE");
  await ok(operations.revokeAccessRequestV4({ ...person, ...path(delegated.id) }));
  await state(colleague, delegated.id, "REVOKED");
}

async function oldAccess(integration: string, table: string, mine: string) {
  const query = { user_id: mine };
  const chosen = await ok(operations.listSelectableIntegrationsV3({ ...admin, query }));
  assert.ok(ids(chosen.data).has(integration));
  const place = { path: { integration_id: integration, resource_type: "postgresql-table" } };
  await ok(operations.listSelectableResourceTypesV3({ ...admin, path: { integration_id: integration }, query }));
  const permissions = await ok(operations.listSelectablePermissionsV3({ ...admin, ...place, query }));
  assert.ok(permissions.data.includes("READ_ONLY"));
  const resources = await ok(operations.listSelectableResourcesV3({ ...admin, ...place, query }));
  assert.ok(ids(resources.data).has(table));
  const body: t.AccessRequestCreateV3 = {
    user_id: mine,
    integration_id: integration,
    resource_ids: [table],
    permissions: ["READ_ONLY"],
    justification: "asked for a colleague",
    duration_in_sec: 1800,
  };
  const { request_id: id } = await ok(operations.createAccessRequestV3({ ...admin, body }));
  const reach = (wanted: string) =>
    until(wanted, async () => {
      const row = await ok(operations.getAccessRequestV3({ ...admin, ...path(id) }));
      return row.status === wanted;
    });
  await reach("GRANTED");
  const listed = await ok(operations.listAccessRequestsV3({ ...admin, query }));
  assert.ok(listed.data.some((row) => row.request_id === id));
  assert.ok((await ok(operations.getAccessRequestDetailsV3({ ...admin, ...path(id) }))).details);
  await ok(operations.resetAccessRequestCredentialsV3({ ...admin, ...path(id) }));
  await ok(operations.bulkRevokeAccessRequestsV3({ ...admin, body: { request_ids: [id] } }));
  await reach("EXPIRED");
  const filter = { "filter[integration_id]": [integration] };
  const lines = await ok(operations.listActivityV3({ ...admin, query: filter }));
  assert.ok(lines.data.some((line) => line.request_id));
}

async function main() {
  await connectors();
  const { integration, table } = await integrations();
  const mine = await people();
  const chosen = await selections(integration);
  const flow = await flows(chosen, mine);
  await reports();
  await access(chosen.bundle, table);
  await oldAccess(integration, table, mine);
  await gone(operations.deleteAccessFlowV2({ ...admin, ...path(flow) }));
  await until("the end of all access", async () =>
    (await ok(operations.listAccessSessionsV1({ ...person }))).items.length === 0,
  );
  await gone(operations.deleteBundleV2({ ...admin, ...path(chosen.bundleId) }));
  await gone(operations.deleteIntegrationV4({ ...admin, ...path(integration) }));
  const all = Object.keys(sdk).filter((name) => typeof (sdk as any)[name] === "function");
  const missed = all.filter((name) => !called.has(name));
  assert.deepEqual(missed, [], "never called");
  console.log(`${called.size} of ${all.length} operations driven with the generated TypeScript client`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
