/* Manifests: a whole one is read as written; each fault is refused with a sentence that names it. */
#include "core/manifest.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[96], error[1024];

static void write_file(const char *name, const char *text)
{
    char file[128];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    FILE *f = fopen(file, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    fclose(f);
}

static void setup(void)
{
    char sub[96];
    snprintf(folder, sizeof folder, "/tmp/test_manifest.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/shop.json", folder);
    snprintf(sub, sizeof sub, "%s/shop", folder);
    ck_assert_int_eq(mkdir(sub, 0700), 0);
}

static void teardown(void)
{
    static const char *const files[] = {"shop.json",           "secret.json",    "shop/intents.json",
                                        "shop/examples.jsonl", "shop/link.json", "shop"};
    char file[96];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(file, sizeof file, "%s/%s", folder, files[i]);
        remove(file);
    }
    rmdir(folder);
}

static const char whole[] =
    "{ 'manifest': 1, 'name': 'shop', 'version': '1.4.0', 'abi': '1.2', 'library': 'shop-x.so', 'description': 'Sells',"
    "  'limits': { 'mailbox': 7, 'turn_budget_ms': 5 },"
    "  'components': ["
    "    { 'id': 'area.sales', 'alias': 'Sales', 'kind': 'agent', 'roles': ['desk.seller'], 'state_version': 3,"
    "      'serves': { 'kind': ['a', 'b'] }, 'next': ['*'], 'may_send_to': ['area.bank', 'role:gate'],"
    "      'publishes': ['sold'], 'subscribes': ['priced'], 'settings': { 'base': 'http://x' }, 'tools': ['look'],"
    "      'operations': ["
    "        { 'type': 'buy', 'description': 'Buys', 'request': { '$ref': '#/schemas/Buy' }, 'retry': 2, 'redrive': "
    "true,"
    "          'response': { 'type': 'object', 'properties': { 'rows': { 'type': 'array', 'items': {"
    "             'additionalProperties': false, 'properties': { 'id': {}, 'n': {} } } } } }, 'timeout_ms': 5000,"
    "          'expose': { 'cli': 'buy item', 'help': 'Buys', 'args': ['item', 'note?'], 'rest': 'POST /api/{item_id}',"
    "             'rename': { 'item_id': 'item' }, 'refused': 409, 'success': 201, 'permission': 'sell',"
    "             'columns': ['id', 'n'], 'rows': 'rows' } },"
    "        { 'type': 'look', 'durable': false } ] },"
    "    { 'id': 'area.bank.two', 'kind': 'provider', 'operations': [ { 'type': 'verify' },"
    "        { 'type': 'hook', 'raw': true, 'expose': { 'rest': 'POST /hook/{name}' } } ] } ],"
    "  'needs': { 'secrets': ['KEY', '9KEY'],"
    "    'hosts': [ { 'url': 'setting:base', 'calls': [ { 'name': 'pay', 'method': 'POST', 'path': '/pay',"
    "        'unknown': 'verify', 'by': 'verify' }, { 'name': 'look', 'method': 'GET', 'safe': true } ] } ],"
    "    'tables': [ { 'name': 'orders', 'key': 'id', 'indexes': ['n', '-at'], 'schema': { '$ref': '#/schemas/Row' } } "
    "] },"
    "  'schemas': { 'Buy': { 'type': 'object', 'properties': { 'item': { 'type': 'string' }, 'note': {} } },"
    "    'Id': { 'type': 'string' },"
    "    'Row': { 'type': 'object', 'properties': { 'id': { '$ref': '#/schemas/Id' }, 'n': { 'type': ['integer', "
    "'null'] },"
    "       'at': { 'type': 'number' }, 'flag': { 'type': 'boolean' }, 'doc': { 'type': ['object', 'string'] },"
    "       'state': { 'enum': ['A', 'B'] } } } },"
    "  'domain': { 'name': 'SHOP', 'label': 'Shop', 'intents': 'intents.json', 'examples': 'examples.jsonl',"
    "    'knowledge': 'knowledge/', 'words': { 'a': 1 }, 'routes': { 'BUY': ['area.sales', 'role:desk.seller'] } } }";

/* Writes the text with ' as ", `from` replaced by `to` once. */
static void put(const char *text, const char *from, const char *to)
{
    size_t size = strlen(text) + strlen(to) + 1;
    char *out = malloc(size);
    const char *at = from ? strstr(text, from) : NULL;
    ck_assert_msg(!from || at, "the manifest has no %s", from);
    if (at)
        snprintf(out, size, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    else
        snprintf(out, size, "%s", text);
    for (char *c = out; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    write_file("shop.json", out);
    free(out);
}

static void put_domain_files(void)
{
    write_file("shop/intents.json", "{\"BUY\": {\"words\": [\"buy\"]}}");
    write_file("shop/examples.jsonl", "{\"text\": \"a\"}\n\n{\"text\": \"b\"}\r\n{\"text\": \"c\"}");
}

static struct manifest *load(void)
{
    struct manifest *m = NULL;
    int rc = manifest_load(path, &m, error, sizeof error);
    ck_assert_msg(rc == 0, "%s", error);
    return m;
}

/* The whole manifest with one change must be refused; the sentence names the file and contains `part`. */
static void refuses(const char *from, const char *to, const char *part)
{
    struct manifest *m = NULL;
    put(whole, from, to);
    put_domain_files();
    error[0] = 0;
    ck_assert_msg(manifest_load(path, &m, error, sizeof error) == CVM_EINVAL, "accepts %s", to);
    ck_assert_ptr_null(m);
    ck_assert_msg(strncmp(error, path, strlen(path)) == 0, "%s", error);
    ck_assert_msg(strstr(error, part) != NULL, "\"%s\" lacks \"%s\"", error, part);
}

START_TEST(reads_all)
{
    put(whole, NULL, "");
    put_domain_files();
    struct manifest *m = load();
    ck_assert_str_eq(m->name, "shop");
    ck_assert_str_eq(m->version, "1.4.0");
    ck_assert_int_eq(m->abi_major, 1);
    ck_assert_int_eq(m->abi_minor, 2);
    ck_assert_str_eq(m->library, "shop-x.so");
    ck_assert_str_eq(m->dir + strlen(folder), "/shop");
    ck_assert_int_eq(m->limits.mailbox, 7);
    ck_assert_int_eq(m->limits.turn_budget_ms, 5);
    ck_assert_int_eq(m->limits.memory_mib, 64);
    ck_assert_int_eq(m->limits.conversation_messages, 10000);
    ck_assert_uint_eq(m->n_components, 2);
    const struct manifest_component *c = &m->components[0];
    ck_assert_str_eq(c->id, "area.sales");
    ck_assert_str_eq(c->alias, "Sales");
    ck_assert_int_eq(c->kind, KIND_AGENT);
    ck_assert_str_eq(manifest_kind_name(m->components[1].kind), "provider");
    ck_assert_uint_eq(c->state_version, 3);
    ck_assert_uint_eq(c->may_send_to.n, 2);
    ck_assert_str_eq(c->may_send_to.at[1], "role:gate");
    ck_assert_str_eq(c->next.at[0], "*");
    ck_assert_ptr_nonnull(json_object_get(c->serves, "kind"));
    ck_assert_str_eq(m->components[1].alias, "area.bank.two");
    ck_assert(json_is_object(m->components[1].settings));
    ck_assert_uint_eq(m->components[1].state_version, 1);
    ck_assert_uint_eq(m->secrets.n, 2);
    ck_assert_str_eq(m->secrets.at[1], "9KEY");
    manifest_free(m);
    manifest_free(NULL);
}
END_TEST

START_TEST(reads_operations)
{
    struct schema_error fault;
    put(whole, NULL, "");
    put_domain_files();
    struct manifest *m = load();
    const struct manifest_operation *op = manifest_find_operation(&m->components[0], "buy");
    ck_assert_ptr_nonnull(op);
    ck_assert_ptr_null(manifest_find_operation(&m->components[0], "verify"));
    ck_assert_int_eq(op->retry, 2);
    ck_assert_int_eq(op->timeout_ms, 5000);
    ck_assert(op->redrive && !op->raw && !op->ephemeral);
    json_t *request = json_pack("{s:i}", "item", 5);
    ck_assert_int_eq(schema_check(op->request, request, &fault), CVM_EINVAL);
    ck_assert_str_eq(fault.field, "item");
    json_decref(request);
    const struct manifest_expose *e = op->expose;
    ck_assert_str_eq(e->cli, "buy item");
    ck_assert_str_eq(e->method, "POST");
    ck_assert_str_eq(e->path, "/api/{item_id}");
    ck_assert_uint_eq(e->args.n, 2);
    ck_assert_uint_eq(e->n_required, 1);
    ck_assert_str_eq(e->args.at[1], "note");
    ck_assert_int_eq(e->refused, 409);
    ck_assert_int_eq(e->success, 201);
    ck_assert_str_eq(e->rows, "rows");
    ck_assert_str_eq(e->permission, "sell");
    const struct manifest_operation *look = &m->components[0].operations[1];
    ck_assert(look->ephemeral && !look->expose && !look->request && !look->request_schema);
    ck_assert_str_eq(look->description, "");
    ck_assert(m->components[1].operations[1].raw);
    ck_assert_int_eq(m->components[1].operations[1].expose->refused, 422);
    ck_assert_int_eq(m->components[1].operations[1].expose->success, 200);
    manifest_free(m);
}
END_TEST

START_TEST(reads_needs)
{
    struct schema_error fault;
    static const int types[] = {COLUMN_TEXT, COLUMN_INTEGER, COLUMN_REAL, COLUMN_INTEGER, COLUMN_JSON, COLUMN_TEXT};
    put(whole, NULL, "");
    put_domain_files();
    struct manifest *m = load();
    ck_assert_uint_eq(m->n_calls, 2);
    ck_assert_str_eq(m->calls[0].url, "setting:base");
    ck_assert_int_eq(m->calls[0].unknown, UNKNOWN_VERIFY);
    ck_assert_str_eq(m->calls[0].by, "verify");
    ck_assert_str_eq(m->calls[0].key_header, "Idempotency-Key");
    ck_assert_int_eq(m->calls[1].unknown, UNKNOWN_SAFE);
    ck_assert_str_eq(m->calls[1].path, "");
    ck_assert_uint_eq(m->n_tables, 1);
    const struct manifest_table *table = &m->tables[0];
    ck_assert_uint_eq(table->n_columns, 6);
    for (size_t i = 0; i < 6; i++)
        ck_assert_msg((int)table->columns[i].type == types[i], "%s", table->columns[i].name);
    ck_assert_str_eq(table->indexes.at[1], "-at");
    json_t *row = json_pack("{s:s,s:i}", "id", "x", "n", 1);
    ck_assert_int_eq(schema_check(table->schema, row, &fault), 0);
    json_object_set_new(row, "other", json_integer(1));
    ck_assert_int_eq(schema_check(table->schema, row, &fault), CVM_EINVAL); /* closed although it does not say so */
    json_decref(row);
    row = json_pack("{s:i}", "n", 1);
    ck_assert_int_eq(schema_check(table->schema, row, &fault), CVM_EINVAL); /* the key must be there */
    ck_assert_str_eq(fault.field, "id");
    json_decref(row);
    manifest_free(m);
}
END_TEST

START_TEST(reads_domain)
{
    put(whole, NULL, "");
    put_domain_files();
    struct manifest *m = load();
    ck_assert_ptr_nonnull(json_object_get(json_object_get(m->domain, "intents"), "BUY"));
    ck_assert_uint_eq(json_array_size(json_object_get(m->domain, "examples")), 0);
    size_t lines = 0;
    for (const char *s = m->examples; (s = strchr(s, '{')); s++)
        lines++;
    ck_assert_uint_eq(lines, 3);
    ck_assert_uint_eq(strlen(m->examples_hash), 64);
    ck_assert(json_is_array(json_object_get(m->domain, "knowledge")));
    ck_assert(json_is_object(json_object_get(m->domain, "words")));
    manifest_free(m);
    /* no examples yet, intents inline */
    put(whole, "'intents.json'", "{ 'X': {} }");
    write_file("shop/examples.jsonl", "");
    m = load();
    ck_assert_ptr_null(m->examples);
    ck_assert_ptr_nonnull(json_object_get(json_object_get(m->domain, "intents"), "X"));
    manifest_free(m);
}
END_TEST

START_TEST(reads_least)
{
    put("{'manifest':1,'name':'shop','version':'0.1.0','abi':'1.0','components':[{'id':'a.b','kind':'channel'}]}", NULL,
        "");
    struct manifest *m = load();
    ck_assert_str_eq(m->library, "shop.so");
    ck_assert_str_eq(m->description, "");
    ck_assert_ptr_null(m->domain);
    ck_assert_uint_eq(m->components[0].n_operations, 0);
    ck_assert_uint_eq(m->n_tables + m->n_calls + m->secrets.n, 0);
    manifest_free(m);
}
END_TEST

/* What the schema of manifests says. */
static const struct {
    const char *from, *to, *part;
} faults[] = {
    {"'manifest': 1", "'manifest': 2", "manifest: must be 1, got number 2"},
    {"'name': 'shop', ", "", "name: is required"},
    {"'name': 'shop'", "'name': 'Shop'", "got string \"Shop\""},
    {"'version': '1.4.0'", "'version': 'new'", "version: must be a version such as 1.4.0"},
    {"'abi': '1.2'", "'abi': '1'", "abi: must be the plugin interface as MAJOR.MINOR"},
    {"'abi': '1.2'", "'abi': '70000.0'", "at most 65535"},
    {"'shop-x.so'", "'../x.so'", "library: must be a file name without '/'"},
    {"'description': 'Sells'", "'descripton': 'Sells'", "descripton: unknown field; known are: "},
    {"'mailbox': 7", "'mailbox': 0", "limits.mailbox: must be at least 1, got number 0"},
    {"'id': 'area.sales'",
     "'settings_schema': { 'properties': { 'x': { 'type': 'integer' } }, 'required': ['x'] }, 'id': 'area.sales'",
     "components[0].settings.x: is required"},
    {"'id': 'area.sales'", "'settings_schema': { 'tpye': 'object' }, 'id': 'area.sales'",
     "settings_schema/tpye: unknown keyword"},
    {"'area.sales'", "'sales'", "components[0].id: must be <area>.<name>"},
    {"'area.sales'", "'Area.sales'", "components[0].id: must be <area>.<name>"},
    {"'area.bank.two'", "'a.b.c.d'", "components[1].id: must be <area>.<name>"},
    {"'agent'", "'agnet'", "components[0].kind: must be one of \"agent\", \"trigger\""},
    {"'area.bank.two'", "'area.sales'", "components[1].id: \"area.sales\" is declared twice"},
    {"'area.bank.two'", "'host.two'", "the host's own"},
    {"'kind': 'provider'", "'kind': 'provider', 'alias': 'Sales'", "components[1].alias: \"Sales\" is the alias of"},
    {"'role:gate'", "'area.bank'", "components[0].may_send_to: \"area.bank\" occurs twice"},
    {"'type': 'look'", "'type': 'buy'", "area.sales answers \"buy\" twice"},
    {"'type': 'look'", "'type': 'buy.reply'", "kept for replies"},
    {"'retry': 2", "'retry': 4", "operations[0].retry: must be at most 3"},
    {"'#/schemas/Buy'", "'#/schemas/Bought'",
     "/components/0/operations/0/request/$ref: points to \"#/schemas/Bought\""},
    {"'Id': { 'type'", "'Id': { 'tpye'", "/schemas/Id/tpye: unknown keyword"},
    {"'args': ['item',", "'args': ['thing',", "\"args\" must name properties of the request, got \"thing\""},
    {"'item', 'note?'", "'note?', 'item'", "the required argument \"item\" stands behind an optional one"},
    {"'item_id': 'item'", "'item_id': 'thing'", "\"item_id\" leads to \"thing\""},
    {"'rename': { 'item_id': 'item' },", "", "the parameter {item_id} must be a property of the request"},
    {"'POST /api/{item_id}'", "'POST /api/{item_id'", "are written {name}"},
    {"'POST /api/{item_id}'", "'POST api'", "expose.rest: must be a method and a path"},
    {"'POST /api/{item_id}'", "'POST /hook/{item_id}'", "the route \"POST /hook/{name}\" is declared twice"},
    {"'expose': { 'rest'", "'expose': { 'cli': 'buy item', 'rest'", "the command \"buy item\" is declared twice"},
    {"'rest': 'POST /hook/{name}'", "'help': 'x'", "must have \"cli\", \"rest\" or both"},
    {"'raw': true, 'expose': { 'rest': 'POST /hook/{name}' }", "'raw': true", "\"raw\" needs a route"},
    {"['id', 'n'], 'rows'", "['id', 'm'], 'rows'", "\"columns\" must name properties of the rows, got \"m\""},
    {"'rows': 'rows' }", "'rows': 'lines' }", "\"rows\" must name a property of the response, got \"lines\""},
    {"'9KEY'", "'KEY'", "needs.secrets: \"KEY\" occurs twice"},
    {"'9KEY'", "'A KEY'", "needs.secrets[1]: must be the name of a secret"},
    {"'setting:base'", "'setting:none'", "must name a setting of a component"},
    {"'setting:base'", "'ftp://x'", "needs.hosts[0].url: must be an http(s) or smtp(s) address"},
    {"'setting:base'", "'secret:KEY'", "needs.hosts[0].calls[0]: an address that is a secret is whole: no path"},
    {"'setting:base', 'calls': [ { 'name': 'pay', 'method': 'POST', 'path': '/pay',",
     "'secret:TOKEN', 'calls': [ { 'name': 'pay', 'method': 'POST',",
     "\"secret:TOKEN\" must name a secret of needs.secrets"},
    {"'setting:base'", "'smtp://x'", "needs.hosts[0].calls[0]: the method MAIL belongs to an address smtp://"},
    {"'method': 'GET', 'safe'", "'method': 'MAIL', 'safe'",
     "needs.hosts[0].calls[1]: a call with the method MAIL is never safe"},
    {"'POST', 'path'", "'MAIL', 'path'",
     "needs.hosts[0].calls[0]: a call with the method MAIL is never safe, and has no path"},
    {"'by': 'verify'", "'by': 'check'",
     "\"by\" of the call \"pay\" must name an operation of a component, got \"check\""},
    {"'unknown': 'verify', 'by': 'verify'", "'unknown': 'verify'", "\"verify\" needs \"by\""},
    {"'unknown': 'verify'", "'unknown': 'repeat'", "\"by\" belongs to"},
    {"'safe': true", "'safe': true, 'unknown': 'report'", "calls[1]: must have either \"safe\": true or"},
    {"'method': 'GET', 'safe': true", "'method': 'GET'", "got neither"},
    {"'name': 'look', 'method'", "'name': 'pay', 'method'", "the call \"pay\" is declared twice"},
    {"'name': 'orders'", "'name': 'turns'", "is a table of the host's own"},
    {"'name': 'orders'", "'name': 'sqlite_x'", "must not begin with \"sqlite_\""},
    {"'name': 'orders'", "'name': 'Orders'", "needs.tables[0].name: must be a lower-case name"},
    {"'key': 'id'", "'key': 'no'", "needs.tables[0].key: must name a property"},
    {"'key': 'id'", "'key': 'n'", "needs.tables[0].key: the property \"n\" must have the type \"string\""},
    {"'schemas': {", "'jobs': [{ 'name': 'pay' }], 'schemas': {",
     "jobs[0].name: \"pay\" is a call of needs.hosts already"},
    {"'schemas': {", "'jobs': [{ 'name': 'query' }], 'schemas': {",
     "jobs[0].name: \"query\" is what answers of cvm_ask come as"},
    {"'schemas': {", "'jobs': [{ 'name': 'a' }, { 'name': 'a' }], 'schemas': {",
     "jobs[1].name: \"a\" is declared twice"},
    {"'schemas': {", "'jobs': [{ 'name': 'a', 'writes': ['orders'] }], 'schemas': {",
     "jobs[0].writes: must name tables of needs.tables with \"bulk\": true, got \"orders\""},
    {"'schemas': {", "'jobs': [{ 'name': 'a', 'writes': ['others'] }], 'schemas': {", "got \"others\""},
    {"'schemas': {", "'jobs': [{ 'name': 'a', 'reads': ['x', 'x'] }], 'schemas': {",
     "jobs[0].reads: \"x\" occurs twice"},
    {"'schemas': {", "'jobs': [{ 'name': 'a', 'timeout_ms': 0 }], 'schemas': {",
     "jobs[0].timeout_ms: must be at least 1"},
    {"'schemas': {", "'placement': 'process', 'jobs': [{ 'name': 'a' }], 'schemas': {",
     "jobs: a plugin with jobs runs inside the host"},
    {"'key': 'id'", "'key': 'id', 'bulk': true, 'search': { 'text': { 'at': 1 } }",
     "needs.tables[0].search: a table with \"bulk\": true is not searched"},
    {"'-at'", "'-when'", "needs.tables[0].indexes: must name columns of the table, got \"-when\""},
    {"'flag': {", "'ID': {", "the column \"ID\" occurs twice"},
    {"'flag': {", "'fl ag': {", "got \"fl ag\""},
    {"'flag': {", "'key_id': {", "got \"key_id\""},
    {"'Row': { 'type': 'object',", "'Row': { 'type': 'object', 'additionalProperties': true,", "must be false"},
    {"'#/schemas/Row'", "'#/schemas/Id'", "must be the schema of a row"},
    {"'intents.json'", "'../secret.json'", "domain.intents: must be a file in the folder"},
    {"'intents.json'", "'/etc/hosts'", "domain.intents: must be a file in the folder"},
    {"'intents.json'", "'link.json'", "domain.intents: must be a file in the folder"},
    {"'intents.json'", "'none.json'", "domain.intents: there is no file"},
    {"'intents.json'", "[1]", "domain.intents: must be"},
    {"'examples.jsonl'", "'../examples.jsonl'", "domain.examples: must be a file in the folder"},
    {"'knowledge/'", "'knowledge/../..'", "domain.knowledge: must be a file in the folder"},
    {"['area.sales', 'role:desk.seller']", "[]", "domain.routes.BUY: must have at least 1 item"},
    {"'schemas': {", "'schemas': {{", "line 1, column"},
    {"'schemas': {", "'name': 'x', 'schemas': {", "duplicate"},
};

START_TEST(refuses_faults)
{
    char link[96];
    write_file("secret.json", "{}");
    snprintf(link, sizeof link, "%s/shop/link.json", folder);
    ck_assert_int_eq(symlink("../secret.json", link), 0);
    refuses(faults[_i].from, faults[_i].to, faults[_i].part);
}
END_TEST

START_TEST(refuses_files)
{
    struct manifest *m = NULL;
    ck_assert_int_eq(manifest_load(path, &m, error, sizeof error), CVM_EIO);
    ck_assert_ptr_nonnull(strstr(error, "No such file"));
    ck_assert_int_eq(manifest_load(folder, &m, error, sizeof error), CVM_EIO);
    char *large = malloc(MANIFEST_FILE_MAX_BYTES + 2);
    memset(large, ' ', MANIFEST_FILE_MAX_BYTES + 1);
    large[MANIFEST_FILE_MAX_BYTES + 1] = 0;
    write_file("shop.json", large);
    ck_assert_int_eq(manifest_load(path, &m, error, sizeof error), CVM_ELIMIT);
    ck_assert_ptr_nonnull(strstr(error, "larger than the limit of 1024 KiB"));
    memset(large, '[', MANIFEST_FILE_MAX_BYTES - 1);
    large[MANIFEST_FILE_MAX_BYTES - 1] = 0;
    write_file("shop.json", large);
    ck_assert_int_eq(manifest_load(path, &m, error, sizeof error), CVM_EINVAL);
    ck_assert_ptr_nonnull(strstr(error, "maximum parsing depth"));
    free(large);
    write_file("shop.json", "[]");
    ck_assert_int_eq(manifest_load(path, &m, error, sizeof error), CVM_EINVAL);
    ck_assert_ptr_nonnull(strstr(error, "must be an object, got an array"));
    write_file("shop.json", "");
    ck_assert_int_eq(manifest_load(path, &m, error, sizeof error), CVM_EINVAL);
    ck_assert_ptr_null(m);
}
END_TEST

/* The copy that a build comes back from: optional arguments, too. */
START_TEST(saved_copy_is_the_same)
{
    char saved[300];
    struct manifest *m, *again = NULL;
    put_domain_files();
    put(whole, NULL, "");
    m = load();
    snprintf(saved, sizeof saved, "%s.saved", path);
    ck_assert_int_eq(manifest_save(m, saved), 0);
    ck_assert_msg(manifest_load_saved(saved, &again, error, sizeof error) == 0, "%s", error);
    const struct manifest_expose *a = manifest_find_operation(&m->components[0], "buy")->expose;
    const struct manifest_expose *b = manifest_find_operation(&again->components[0], "buy")->expose;
    ck_assert_uint_eq(a->n_required, 1);
    ck_assert_uint_eq(b->n_required, 1);
    ck_assert_str_eq(b->args.at[1], "note");
    char *one = manifest_text(m), *two = manifest_text(again);
    ck_assert_str_eq(one, two);
    free(one);
    free(two);
    unlink(saved);
    manifest_free(m);
    manifest_free(again);
}
END_TEST

START_TEST(refuses_examples)
{
    struct manifest *m = NULL;
    put(whole, NULL, "");
    put_domain_files();
    write_file("shop/examples.jsonl", "{\"a\":1}\n[1]\n");
    ck_assert_int_eq(manifest_load(path, &m, error, sizeof error), CVM_EINVAL);
    ck_assert_ptr_nonnull(strstr(error, "domain.examples: line 2: must be a JSON object"));
    write_file("shop/examples.jsonl", "{\"a\":1}\n\n{\"a\"\n");
    ck_assert_int_eq(manifest_load(path, &m, error, sizeof error), CVM_EINVAL);
    ck_assert_ptr_nonnull(strstr(error, "domain.examples: line 3: "));
    write_file("shop/examples.jsonl", "");
    write_file("shop/intents.json", "[]");
    ck_assert_int_eq(manifest_load(path, &m, error, sizeof error), CVM_EINVAL);
    ck_assert_ptr_nonnull(strstr(error, "domain.intents: must be a JSON object"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("manifest");
    TCase *t = tcase_create("manifest");
    suite_add_tcase(suite, t);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, reads_all);
    tcase_add_test(t, saved_copy_is_the_same);
    tcase_add_test(t, reads_operations);
    tcase_add_test(t, reads_needs);
    tcase_add_test(t, reads_domain);
    tcase_add_test(t, reads_least);
    tcase_add_loop_test(t, refuses_faults, 0, (int)(sizeof faults / sizeof faults[0]));
    tcase_add_test(t, refuses_files);
    tcase_add_test(t, refuses_examples);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
